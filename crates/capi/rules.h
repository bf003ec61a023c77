/* sonotap.h - a tap on a live ultrasound image becomes a tracked, measured outline. Generated; do not edit.
 *
 * Not for diagnostic use. An outline is a suggestion of a model. docs/vendors.md says what a host must show.
 *
 * RULES
 * - A handle is a name, not an address. A closed or invented one is refused with SONOTAP_E_HANDLE, never read.
 * - A status >= 0 is an outcome, < 0 an error, whose text sonotap_last_error has for the same thread. Outputs are written
 *   only when the status is >= 0. Numbers are never reused.
 * - Structures begin with struct_size: set it to sizeof. Fields are only appended. Set all else to 0 for the defaults. A smaller
 *   size gets defaults for what it lacks; a larger one is taken if what this library does not know is 0.
 * - [any]: from any thread at any time. [owner]: one thread at a time; a second one gets SONOTAP_E_THREAD.
 *   [last]: sonotap_close, from any thread that is not within a callback.
 * - Nothing blocks but sonotap_wait (until woken), sonotap_step (a prediction) and sonotap_close (0.3 s at most, and calls under
 *   way). Loading a model takes tens of milliseconds. Frames, taps and commands go into bounded mailboxes: of frames the newest
 *   wins; of commands 64 wait.
 * - What is passed is copied during the call: frames, files, texts, rectangles. What is returned is written to the host's memory.
 *   The library keeps no pointer of the host's but the callbacks with their user pointers.
 * - Callbacks wake and log, on any thread. They return at once and call no function of this header (SONOTAP_E_THREAD). None comes
 *   after sonotap_close, or after sonotap_set_log took it away, has returned.
 * - No call unwinds, prints, exits, or changes signal handlers, locale or floating-point state. After a defect (SONOTAP_E_PANIC)
 *   the handle answers nothing else; close it. Memory that the system cannot give ends the process, as in most C programs: set
 *   memory_max_bytes.
 * - A picture is shown as live only in time: sonotap_poll gives a ticket, sonotap_draw or sonotap_hand_over says whether it may
 *   still be shown, sonotap_presented says when it was. What a host forgets is counted as late, and the next scenes say so.
 * - Image px: x to the right, y down, the centre of the first pixel is (0.5, 0.5). Times: ns on the clock of sonotap_now_ns.
 */

/* Calls of every function in random order with good and bad arguments, for AddressSanitizer: `random_calls MODEL CALLS SEED`. Every
 * buffer is allocated to its size, so that a byte read or written beyond it is found. Ends with the counts of statuses. */
#include <sonotap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned long long state;

static unsigned pick(unsigned below) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(state >> 33) % below;
}

static float real(void) {
    static const float odd[] = {-1.0f, 0.0f, 0.5f, 1.0f, 1e9f, -1e30f, 3.0f};
    float zero = 0.0f;
    switch (pick(12)) {
    case 0: return zero / zero;
    case 1: return 1.0f / zero;
    case 2: case 3: return odd[pick(7)];
    default: return (float)pick(64) + 0.25f;
    }
}

static unsigned size_of(size_t size) {
    switch (pick(20)) {
    case 0: return 0;
    case 1: return 8 + pick((unsigned)size - 8);
    case 2: return 0xffffffffu;
    default: return (unsigned)size;
    }
}

/* A structure in a block of exactly the size that it states, as far as that is believable. */
static void *block(size_t size, unsigned stated) {
    size_t bytes = stated < 4 ? 4 : stated > 4096 ? size : stated;
    void *made = calloc(1, bytes);
    if (made == NULL) exit(3);
    memcpy(made, &stated, 4);
    return made;
}

static void *copy_of(const void *from, size_t size, unsigned stated) {
    void *made = block(size, stated);
    size_t bytes = stated < 4 ? 4 : stated > 4096 ? size : stated;
    memcpy((char *)made + 4, (const char *)from + 4, (bytes < size ? bytes : size) - 4);
    return made;
}

static sonotap_status push(sonotap_session *s) {
    static const char *codes[] = {"GREY", "Y16 ", "YUYV", "UYVY", "NV12", "NV16", "YU12", "P010", "XR24",
                                  "BX24", "RGB3", "BGR3", "MJPG", "H264"};
    const char *code = codes[pick(14)];
    sonotap_frame frame, *passed;
    sonotap_status status;
    unsigned size = size_of(sizeof frame);
    uint64_t id = 0;
    size_t bytes, i;
    unsigned char *plane;
    memset(&frame, 0, sizeof frame);
    frame.fourcc = SONOTAP_FOURCC(code[0], code[1], code[2], code[3]);
    frame.width = pick(30) == 0 ? 0xffffffffu : 8 + pick(40);
    frame.height = 8 + pick(40);
    bytes = pick(4) == 0 ? pick(2000) + 1 : (size_t)4 * 48 * 48;
    plane = malloc(bytes);
    if (plane == NULL) exit(3);
    for (i = 0; i < bytes; i++) plane[i] = (unsigned char)(i * 7 + state);
    frame.plane[0] = pick(40) == 0 ? NULL : plane;
    frame.plane_bytes[0] = bytes;
    if (pick(6) == 0) frame.stride[0] = pick(300);
    if (pick(30) == 0) frame.plane[1] = plane, frame.plane_bytes[1] = bytes, frame.stride[1] = pick(100);
    frame.time_kind = pick(20) == 0 ? pick(5) : 0;
    frame.time_ns = pick(3) * 1000000000ull;
    frame.content = pick(4) == 0 ? pick(8) : 1;
    if (pick(3) == 0) frame.mm_per_px_x = real(), frame.mm_per_px_y = real();
    if (pick(8) == 0) frame.region.x = real(), frame.region.w = real(), frame.region.h = real();
    passed = copy_of(&frame, sizeof frame, size);
    status = sonotap_push_frame(s, passed, pick(2) ? &id : NULL);
    free(passed);
    free(plane);
    return status;
}

static sonotap_status picture_call(sonotap_session *s, unsigned which) {
    static const char *codes[] = {"XR24", "AR24", "RGB3", "GREY", "NV12"};
    const char *code = codes[pick(5)];
    sonotap_picture picture, *passed;
    sonotap_status status;
    memset(&picture, 0, sizeof picture);
    picture.fourcc = SONOTAP_FOURCC(code[0], code[1], code[2], code[3]);
    picture.width = which == 0 && pick(4) ? 400 : 8 + pick(40);
    picture.height = which == 0 && pick(4) ? 300 : 8 + pick(40);
    picture.bytes = pick(10) == 0 ? pick(3000) + 1 : (size_t)4 * picture.width * picture.height;
    picture.pixels = calloc(1, picture.bytes);
    if (picture.pixels == NULL) exit(3);
    if (pick(10) == 0) picture.stride = pick(2000);
    if (pick(10) == 0) picture.dpi = real();
    if (pick(4) == 0) picture.place.x = real(), picture.place.w = real(), picture.place.h = real();
    passed = copy_of(&picture, sizeof picture, size_of(sizeof picture));
    switch (which) {
    case 0: status = sonotap_draw(s, 1 + pick(3), passed); break;
    case 1: status = sonotap_get_mask(s, pick(5), passed); break;
    default: status = sonotap_get_frame(s, passed); break;
    }
    free(passed);
    free(picture.pixels);
    return status;
}

static sonotap_status filled(sonotap_session *s, unsigned which, uint64_t *ticket) {
    size_t sizes[] = {sizeof(sonotap_scene), sizeof(sonotap_object), sizeof(sonotap_marker)};
    unsigned stated = size_of(sizes[which]);
    void *made = block(sizes[which], stated);
    sonotap_status status;
    switch (which) {
    case 0:
        status = sonotap_poll(s, made);
        if (status == SONOTAP_OK && stated >= 16) *ticket = ((sonotap_scene *)made)->ticket;
        break;
    case 1: status = sonotap_get_object(s, pick(5), made); break;
    default: status = sonotap_get_marker(s, pick(5), pick(3), made); break;
    }
    free(made);
    return status;
}

static sonotap_status outline(sonotap_session *s) {
    size_t points = pick(3) == 0 ? pick(10) : 4000, rings = pick(4) == 0 ? 0 : 64;
    sonotap_point *at = malloc(points * sizeof *at + 1);
    uint32_t *ends = malloc(rings * sizeof *ends + 1);
    sonotap_status status = sonotap_get_outline(s, pick(5), at, points, ends, rings);
    free(at);
    free(ends);
    return status;
}

static sonotap_status text(sonotap_session *s, sonotap_model *m) {
    size_t cap = pick(3) == 0 ? pick(50) : 20000, needed;
    char *json = malloc(cap + 1);
    sonotap_status status = pick(2) ? sonotap_report(s, json, cap, &needed)
                                    : sonotap_model_describe(m, json, cap, pick(2) ? &needed : NULL);
    sonotap_last_error(json, cap);
    free(json);
    return status;
}

static sonotap_session *opened(sonotap_model *model) {
    sonotap_config config, *passed;
    sonotap_session *s = NULL;
    sonotap_rect keep_out;
    memset(&config, 0, sizeof config);
    keep_out.x = real(), keep_out.y = real(), keep_out.w = real(), keep_out.h = real();
    config.flags = (pick(3) ? SONOTAP_STEPPED : 0) | (pick(2) ? SONOTAP_HOST_CLOCK : 0) | pick(32);
    config.cine_bytes = 1 << 16;
    if (pick(4) == 0) config.memory_max_bytes = (uint64_t)pick(100) << 20;
    if (pick(4) == 0) config.keep_outs = &keep_out, config.keep_out_count = 1;
    passed = copy_of(&config, sizeof config, size_of(sizeof config));
    sonotap_open(model, passed, &s);
    free(passed);
    return s;
}

int main(int argc, char **argv) {
    unsigned long calls, n, counts[19] = {0};
    sonotap_model *model;
    sonotap_session *sessions[3] = {NULL, NULL, NULL};
    uint64_t ticket = 0, now = 0;
    int i;
    if (argc != 4) return 2;
    calls = strtoul(argv[2], NULL, 10);
    state = strtoull(argv[3], NULL, 10);
    if (sonotap_model_from_folder(argv[1], &model) != SONOTAP_OK) return 3;
    for (n = 0; n < calls; n++) {
        sonotap_session **slot = &sessions[pick(3)], *s = *slot;
        sonotap_status status = 0;
        /* Closed and invented handles now and then. */
        if (pick(50) == 0) s = (sonotap_session *)(size_t)pick(1000);
        switch (pick(24)) {
        case 0: case 1: case 2: case 3: status = push(s); break;
        case 4: case 5: case 6: case 7: status = filled(s, 0, &ticket); break;
        case 8: status = sonotap_tap(s, real(), real(), (int)pick(4) - 1, pick(20), 0); break;
        case 9: status = sonotap_box(s, real(), real(), real(), real(), pick(20), now); break;
        case 10: status = sonotap_command(s, pick(19), real()); break;
        case 11: status = sonotap_contact(s, pick(5), pick(3), real() * 8, real() * 8, real(), 0); break;
        case 12: status = sonotap_step(s); break;
        case 13: status = filled(s, 1, &ticket); break;
        case 14: status = filled(s, 2, &ticket); break;
        case 15: status = outline(s); break;
        case 16: status = picture_call(s, 0); break;
        case 17: status = picture_call(s, 1 + pick(2)); break;
        case 18: status = pick(2) ? sonotap_hand_over(s, ticket) : sonotap_presented(s, ticket, pick(2) ? now : 0); break;
        case 19: status = pick(4) ? sonotap_presented(s, ticket, 0) : sonotap_withheld(s, pick(100)); break;
        case 20: status = text(s, model); break;
        case 21: now += pick(60) * 1000000ull, status = sonotap_set_now_ns(s, now); break;
        case 22: status = pick(2) ? sonotap_signal_lost(s) : sonotap_wait(s, pick(50)); break;
        default:
            if (pick(20) == 0) status = sonotap_new_exam(s);
            if (pick(100) == 0) {
                status = sonotap_close(*slot); /* NULL too */
                *slot = opened(model);
            } else if (*slot == NULL) *slot = opened(model);
        }
        if (status < -12 || status > 5) return 4;
        if (status == SONOTAP_E_PANIC) {
            char words[500];
            sonotap_last_error(words, sizeof words);
            fprintf(stderr, "call %lu: %s\n", n, words);
            return 5;
        }
        counts[status + 12]++;
    }
    for (i = 0; i < 3; i++) sonotap_close(sessions[i]);
    sonotap_model_free(model);
    for (i = 0; i < 18; i++)
        if (counts[i] > 0) printf("%s %lu\n", sonotap_status_name(i - 12), counts[i]);
    return 0;
}

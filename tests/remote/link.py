"""A link in user space: delay, rate, and stalls where a packet would be lost and sent again. Both ways, all connections share it."""
import heapq
import random
import socket
import threading
import time

# A segment of TCP, and how long a lost one is missed: three round trips, and not less than Linux's shortest time.
SEGMENT = 1448
RESEND_S_MIN = 0.2


def end(s, how):
    try:
        s.shutdown(how)
    except OSError:
        pass


class Link:
    def __init__(self, listen, target, delay_ms=0, bits_per_s=None, loss=0.0, seed=1):
        self.target, self.delay, self.rate, self.loss = target, delay_ms / 1e3, bits_per_s, loss
        self.random, self.lock, self.free = random.Random(seed), threading.Lock(), {"down": 0.0, "up": 0.0}
        self.bytes = {"down": 0, "up": 0}
        self.listener = socket.create_server(listen, backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # As small as a slow link's: what waits, waits where the sender sees it.
            far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            threading.Thread(target=self.carry, args=(near, far, "up"), daemon=True).start()
            threading.Thread(target=self.carry, args=(far, near, "down"), daemon=True).start()

    def carry(self, source, sink, way):
        """Bytes in their order, each piece when the link has carried it."""
        pieces, ready, is_over = [], threading.Condition(), [False]

        def deliver():
            last = 0.0
            while True:
                with ready:
                    while not pieces and not is_over[0]:
                        ready.wait()
                    if not pieces:
                        break
                    due, _, piece = heapq.heappop(pieces)
                due = last = max(due, last)
                time.sleep(max(0.0, due - time.monotonic()))
                try:
                    sink.sendall(piece)
                except OSError:
                    # Whoever sends hears that nobody takes it any more.
                    end(source, socket.SHUT_RDWR)
                    break
            end(sink, socket.SHUT_WR)

        threading.Thread(target=deliver, daemon=True).start()
        number, behind = 0, 0.0
        while True:
            try:
                piece = source.recv(4096)
            except OSError:
                piece = b""
            with ready:
                if piece:
                    now = time.monotonic()
                    with self.lock:
                        self.bytes[way] += len(piece)
                        took = len(piece) * 8 / self.rate if self.rate else 0.0
                        self.free[way] = max(self.free[way], now) + took
                        due = self.free[way] + self.delay
                        lost = any(self.random.random() < self.loss for _ in range(-(-len(piece) // SEGMENT)))
                    if lost:
                        behind = max(behind, due + max(RESEND_S_MIN, 3 * self.delay))
                    number += 1
                    heapq.heappush(pieces, (max(due, behind), number, piece))
                else:
                    is_over[0] = True
                ready.notify()
            if not piece:
                return
            # What the link holds is bounded: delay and a tenth of a second of its rate.
            time.sleep(max(0.0, self.free[way] - time.monotonic() - 0.1))

    def close(self):
        self.listener.close()

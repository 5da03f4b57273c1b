"""How long the interface's thread works at a stretch, while something goes on."""

import time

from qtpy.QtCore import QTimer


class Heartbeat:
    """Beats as often as Qt lets it; `longest` is the most work between two beats.

    Work is processor time of this thread alone, in seconds: other programs on the
    machine, and threads that it waits for, do not count. `wall` is by the clock.
    """

    def __init__(self):
        self.longest = self.wall = 0.0
        self._timer = QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._beat)

    def start(self):
        self.longest = self.wall = 0.0
        self._work, self._clock = time.thread_time(), time.perf_counter()
        self._timer.start()

    def stop(self):
        self._timer.stop()

    def _beat(self):
        work, clock = time.thread_time(), time.perf_counter()
        self.longest = max(self.longest, work - self._work)
        self.wall = max(self.wall, clock - self._clock)
        self._work, self._clock = work, clock

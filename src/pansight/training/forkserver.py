"""The first import of the server that workers fork from, and of nothing else.

A scheduler sends its signals to every process of a job. The training answers them; a server that ended at
once would take the workers along, and with them the batches of the step that is still to be finished.
"""

import signal
import sys

__all__: list[str] = []

if any("multiprocessing.forkserver" in argument for argument in sys.orig_argv):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

"""A file that is written is noticed, by the standard way for emulated kernels: looking."""

import tempfile
import threading
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers.polling import PollingObserver

seen = threading.Event()


class Handler(FileSystemEventHandler):
    def on_created(self, event):
        if Path(event.src_path).name == "protocol.py":
            seen.set()


with tempfile.TemporaryDirectory() as folder:
    observer = PollingObserver(timeout=0.1)
    observer.schedule(Handler(), folder)
    observer.start()
    Path(folder, "protocol.py").write_text("")
    assert seen.wait(60)
    observer.stop()
    observer.join()

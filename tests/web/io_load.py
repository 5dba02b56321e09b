"""An initiator that writes and reads until it is told to stop: QEMU's iSCSI client does the work."""
import subprocess
import threading
import time

INITIATOR = "iqn.2026-01.io.lunaris-web-test:io"


class Io:
    def __init__(self, port, target, lun=0):
        options = (f"driver=raw,file.driver=iscsi,file.transport=tcp,file.portal=127.0.0.1:{port},file.target={target},"
                   f"file.lun={lun},file.initiator-name={INITIATOR}")
        self.process = subprocess.Popen(["qemu-io", "--image-opts", options], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.feed, daemon=True)
        self.thread.start()

    def feed(self):
        turn = 0
        while not self.stopping.is_set() and self.process.poll() is None:
            turn += 1
            for _ in range(2 + turn * 7 % 5):
                self.send(f"write -P {turn % 250} {turn % 16}M {64 + turn * 37 % 400}k\n"
                          f"read 0 {256 + turn * 91 % 900}k\n")
            time.sleep(0.15)
        self.send("quit\n")

    def send(self, text):
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()
        except OSError:
            self.stopping.set()

    def stop(self):
        self.stopping.set()
        self.thread.join(10)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

#!/usr/bin/python3
# A daemon that names its threads, as many do: the names are unlike the program's.
import threading
import time


def work(name):
    with open(f"/proc/self/task/{threading.get_native_id()}/comm", "w") as comm:
        comm.write(name)
    while True:
        time.sleep(3600)


for number in range(3):
    threading.Thread(target=work, args=(f"worker-{number}",), daemon=True).start()
with open("/proc/self/comm", "w") as comm:
    comm.write("@name@-main"[:15])
while True:
    time.sleep(3600)

#!/usr/bin/env python3
"""No binding, no threads: ctypes and asyncio run many commands at once. usage: asyncio_host.py LIBSTACYVM [COUNT]"""
import asyncio
import ctypes
import json
import sys

vm = ctypes.CDLL(sys.argv[1])
COUNT = int(sys.argv[2]) if len(sys.argv) > 2 else 500
DONE, MOST_THREADS = 4, 8


class Ready(ctypes.Structure):
    _fields_ = [("tag", ctypes.c_uint64), ("ready", ctypes.c_uint32), ("code", ctypes.c_int32)]


vm.stacyvm_error_message.restype = ctypes.c_char_p


def check(function, *args):
    """Calls with room for an error as the last argument; raises it."""
    error = ctypes.c_void_p()
    if function(*args, ctypes.byref(error)) != 0:
        raise RuntimeError(vm.stacyvm_error_message(error).decode())


class Client:
    def __init__(self):
        self.instance, self.session, self.queue = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
        check(vm.stacyvm_open, None, ctypes.byref(self.instance))
        check(vm.stacyvm_session_open, self.instance, None, ctypes.byref(self.session))
        check(vm.stacyvm_queue_new, self.instance, ctypes.byref(self.queue))
        self.waiting = {}
        asyncio.get_running_loop().add_reader(vm.stacyvm_queue_fd(self.queue), self.on_ready)

    def on_ready(self):
        ready, count = (Ready * 64)(), ctypes.c_uint32()
        check(vm.stacyvm_queue_wait, self.queue, ctypes.c_int64(0), ready, 64, ctypes.byref(count))
        for i in range(count.value):
            op, future = self.waiting.pop(ready[i].tag)
            text = ctypes.c_void_p()
            try:
                check(vm.stacyvm_op_json, op, ctypes.byref(text))
                future.set_result(json.loads(ctypes.string_at(text)))
                vm.stacyvm_free(text)
            except RuntimeError as error:
                future.set_exception(error)
            vm.stacyvm_op_close(op)

    async def call(self, name, **body):
        op, future, data = ctypes.c_void_p(), asyncio.get_running_loop().create_future(), json.dumps(body).encode()
        check(vm.stacyvm_call_begin, self.session, name.encode(), None, 0, data, ctypes.c_uint64(len(data)), ctypes.byref(op))
        self.waiting[id(future)] = op, future
        check(vm.stacyvm_queue_add_op, self.queue, op, ctypes.c_uint64(id(future)))
        return await future


async def main():
    client = Client()
    sandbox = await client.call("sandbox.spawn", pids=4 * COUNT)
    execs = [asyncio.ensure_future(client.call("exec.run", id=sandbox["id"], command=f"sleep 1; echo {i}")) for i in range(COUNT)]
    threads = 0
    while not all(e.done() for e in execs):
        await asyncio.sleep(0.05)
        threads = max(threads, int(open("/proc/self/status").read().split("Threads:")[1].split()[0]))
    assert [e.result()["stdout"] for e in execs] == [f"{i}\n" for i in range(COUNT)]
    await client.call("sandbox.destroy", id=sandbox["id"])
    for close, handle in (vm.stacyvm_queue_close, client.queue), (vm.stacyvm_session_close, client.session), (vm.stacyvm_close, client.instance):
        close(handle)
    print(f"{COUNT} commands at once, at most {threads} threads in the process")
    return 0 if threads <= MOST_THREADS else 1


sys.exit(asyncio.run(main()))

"""C functions are called with every kind of argument, and call back into Python."""

import struct

import cffi

ffi = cffi.FFI()
ffi.cdef(
    """
    double pow(double, double);
    void qsort(void *base, size_t count, size_t size, int (*compare)(const void *, const void *));
    size_t strlen(const char *);
    """
)
assert ffi.sizeof("void *") == struct.calcsize("P")
libc, libm = ffi.dlopen("libc.so.6"), ffi.dlopen("libm.so.6")
assert libm.pow(2.0, 0.5) == 2**0.5  # passed and returned in floating-point registers
assert libc.strlen(b"robot") == 5


@ffi.callback("int(const void *, const void *)")
def compare(a, b):
    return ffi.cast("int *", a)[0] - ffi.cast("int *", b)[0]


numbers = ffi.new("int[]", [3, 1, 2])
libc.qsort(numbers, 3, ffi.sizeof("int"), compare)
assert list(numbers) == [1, 2, 3]

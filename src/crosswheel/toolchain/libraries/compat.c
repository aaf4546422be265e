/* Stand-ins for functions that Debian's static archives want and an older C library lacks, and for those that a
   compiler asks for where a CPU has no instruction. Hidden, so that no wheel exports them; taken from this archive only
   where something asks for them. */
#define _GNU_SOURCE

#include <sys/syscall.h>
#include <unistd.h>

#define STAND_IN __attribute__((visibility("hidden")))

#if TARGET_GLIBC_MINOR < 25
STAND_IN ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
    return syscall(SYS_getrandom, buffer, length, flags);
}
#endif

#if TARGET_GLIBC_MINOR < 27
STAND_IN int memfd_create(const char *name, unsigned int flags)
{
    return (int) syscall(SYS_memfd_create, name, flags);
}
#endif

#if TARGET_GLIBC_MINOR < 28
#include <stdarg.h>

/* By its number: the name itself has a newer version in a newer C library, which an SDK may have. */
#ifdef SYS_fcntl64
#define FCNTL SYS_fcntl64
#else
#define FCNTL SYS_fcntl
#endif

STAND_IN int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return (int) syscall(FCNTL, fd, command, argument);
}
#endif

#if TARGET_MUSL < 10205
#include <sys/stat.h>
#include <sys/uio.h>

/* The compiler has one musl, of 1.2.5: what it declares, an older one lacks. The kernel takes an offset in two halves. */
STAND_IN ssize_t preadv2(int file, const struct iovec *parts, int count, off_t offset, int flags)
{
    return syscall(SYS_preadv2, file, parts, count, (long) offset, (long) (offset >> 32), flags);
}

STAND_IN ssize_t pwritev2(int file, const struct iovec *parts, int count, off_t offset, int flags)
{
    return syscall(SYS_pwritev2, file, parts, count, (long) offset, (long) (offset >> 32), flags);
}

STAND_IN int statx(int folder, const char *restrict path, int flags, unsigned mask, struct statx *restrict found)
{
    return (int) syscall(SYS_statx, folder, path, flags, mask, found);
}
#endif

#if defined(__arm__) && __ARM_ARCH < 6
#include <stdint.h>

/* A CPU before ARMv6 has no atomic instructions. The kernel has code for it at these addresses, which other threads do
   not interrupt (Documentation/arch/arm/kernel_user_helpers.rst); GCC's libgcc calls it, and zig has nothing that does. */
#define SWAPPED(old, new, at) (((int (*)(uint32_t, uint32_t, volatile uint32_t *)) 0xffff0fc0)(old, new, at) == 0)
#define BARRIER() ((void (*)(void)) 0xffff0fa0)()

/* The names for the linker are a compiler's own, which no C code can define directly. What is smaller than a word is
   changed together with the word that it lies in; such a CPU is little-endian. */
#define WORD(at) ((volatile uint32_t *) ((uintptr_t) (at) & ~(uintptr_t) 3))
#define SHIFT(at) (8 * ((uintptr_t) (at) & 3))
#define WITH(before, type, value, shift) \
    (((before) & ~((uint32_t) (type) -1 << (shift))) | ((uint32_t) (type) (value) << (shift)))

#define FETCH_AND(operation, bits, bytes, result) \
    STAND_IN uint##bits##_t operation##_##bytes(volatile uint##bits##_t *at, uint##bits##_t value) \
        __asm__("__sync_" #operation "_" #bytes); \
    STAND_IN uint##bits##_t operation##_##bytes(volatile uint##bits##_t *at, uint##bits##_t value) \
    { \
        typedef __attribute__((unused)) int##bits##_t with_sign; \
        for (;;) { \
            uint32_t before = *WORD(at); \
            uint##bits##_t old = (uint##bits##_t) (before >> SHIFT(at)); \
            if (SWAPPED(before, WITH(before, uint##bits##_t, result, SHIFT(at)), WORD(at))) \
                return old; \
        } \
    }

#define OF_ANY_SIZE(operation, result) \
    FETCH_AND(operation, 8, 1, result) FETCH_AND(operation, 16, 2, result) FETCH_AND(operation, 32, 4, result)

OF_ANY_SIZE(lock_test_and_set, value)
OF_ANY_SIZE(fetch_and_add, old + value)
OF_ANY_SIZE(fetch_and_sub, old - value)
OF_ANY_SIZE(fetch_and_and, old & value)
OF_ANY_SIZE(fetch_and_or, old | value)
OF_ANY_SIZE(fetch_and_xor, old ^ value)
OF_ANY_SIZE(fetch_and_nand, ~(old & value))
OF_ANY_SIZE(fetch_and_umax, old > value ? old : value)
OF_ANY_SIZE(fetch_and_umin, old < value ? old : value)
OF_ANY_SIZE(fetch_and_max, (with_sign) old > (with_sign) value ? old : value)
OF_ANY_SIZE(fetch_and_min, (with_sign) old < (with_sign) value ? old : value)

#define COMPARE_AND_SWAP(bits, bytes) \
    STAND_IN uint##bits##_t val_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint##bits##_t old, uint##bits##_t value) \
        __asm__("__sync_val_compare_and_swap_" #bytes); \
    STAND_IN uint##bits##_t val_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint##bits##_t old, uint##bits##_t value) \
    { \
        for (;;) { \
            uint32_t before = *WORD(at); \
            uint##bits##_t found = (uint##bits##_t) (before >> SHIFT(at)); \
            if (found != old) { \
                BARRIER(); \
                return found; \
            } \
            if (SWAPPED(before, WITH(before, uint##bits##_t, value, SHIFT(at)), WORD(at))) \
                return found; \
        } \
    }

COMPARE_AND_SWAP(8, 1)
COMPARE_AND_SWAP(16, 2)
COMPARE_AND_SWAP(32, 4)

STAND_IN void synchronize(void) __asm__("__sync_synchronize");
STAND_IN void synchronize(void)
{
    BARRIER();
}
#endif

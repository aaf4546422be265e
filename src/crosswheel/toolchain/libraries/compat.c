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

/* A caller may have extended a value with its sign, or not: only as many bits count as are changed. */
#define CHANGE(function, bits, bytes, result, answer) \
    STAND_IN uint##bits##_t function##_##bytes(volatile uint##bits##_t *at, uint32_t given) \
        __asm__("__sync_" #function "_" #bytes); \
    STAND_IN uint##bits##_t function##_##bytes(volatile uint##bits##_t *at, uint32_t given) \
    { \
        uint##bits##_t value = (uint##bits##_t) given; \
        typedef __attribute__((unused)) int##bits##_t with_sign; \
        for (;;) { \
            uint32_t before = *WORD(at); \
            uint##bits##_t old = (uint##bits##_t) (before >> SHIFT(at)), new = (uint##bits##_t) (result); \
            if (SWAPPED(before, WITH(before, uint##bits##_t, new, SHIFT(at)), WORD(at))) \
                return answer; \
        } \
    }

#define OF_ANY_SIZE(function, result, answer) \
    CHANGE(function, 8, 1, result, answer) \
    CHANGE(function, 16, 2, result, answer) \
    CHANGE(function, 32, 4, result, answer)

/* Clang asks for those that return what was there before; GCC, which compiled Debian's archives, for both. */
#define BEFORE_AND_AFTER(operation, result) \
    OF_ANY_SIZE(fetch_and_##operation, result, old) \
    OF_ANY_SIZE(operation##_and_fetch, result, new)

OF_ANY_SIZE(lock_test_and_set, value, old)
BEFORE_AND_AFTER(add, old + value)
BEFORE_AND_AFTER(sub, old - value)
BEFORE_AND_AFTER(and, old & value)
BEFORE_AND_AFTER(or, old | value)
BEFORE_AND_AFTER(xor, old ^ value)
BEFORE_AND_AFTER(nand, ~(old & value))
OF_ANY_SIZE(fetch_and_umax, old > value ? old : value, old)
OF_ANY_SIZE(fetch_and_umin, old < value ? old : value, old)
OF_ANY_SIZE(fetch_and_max, (with_sign) old > (with_sign) value ? old : value, old)
OF_ANY_SIZE(fetch_and_min, (with_sign) old < (with_sign) value ? old : value, old)

#define COMPARE_AND_SWAP(bits, bytes) \
    STAND_IN uint##bits##_t val_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint32_t old, uint32_t value) \
        __asm__("__sync_val_compare_and_swap_" #bytes); \
    STAND_IN uint##bits##_t val_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint32_t old, uint32_t value) \
    { \
        for (;;) { \
            uint32_t before = *WORD(at); \
            uint##bits##_t found = (uint##bits##_t) (before >> SHIFT(at)); \
            if (found != (uint##bits##_t) old) { \
                BARRIER(); \
                return found; \
            } \
            if (SWAPPED(before, WITH(before, uint##bits##_t, value, SHIFT(at)), WORD(at))) \
                return found; \
        } \
    } \
    STAND_IN int bool_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint32_t old, uint32_t value) \
        __asm__("__sync_bool_compare_and_swap_" #bytes); \
    STAND_IN int bool_compare_and_swap_##bytes( \
        volatile uint##bits##_t *at, uint32_t old, uint32_t value) \
    { \
        return val_compare_and_swap_##bytes(at, old, value) == (uint##bits##_t) old; \
    } \
    STAND_IN void lock_release_##bytes(volatile uint##bits##_t *at) __asm__("__sync_lock_release_" #bytes); \
    STAND_IN void lock_release_##bytes(volatile uint##bits##_t *at) \
    { \
        BARRIER(); \
        *at = 0; \
    }

COMPARE_AND_SWAP(8, 1)
COMPARE_AND_SWAP(16, 2)
COMPARE_AND_SWAP(32, 4)

STAND_IN void synchronize(void) __asm__("__sync_synchronize");
STAND_IN void synchronize(void)
{
    BARRIER();
}

/* Of GCC's libatomic, as Debian's archives ask it. */
STAND_IN int is_lock_free(size_t bytes, const volatile void *at) __asm__("__atomic_is_lock_free");
STAND_IN int is_lock_free(size_t bytes, const volatile void *at)
{
    return (bytes == 1 || bytes == 2 || bytes == 4) && ((uintptr_t) at & (bytes - 1)) == 0;
}
#endif

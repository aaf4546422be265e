/* Stand-ins for functions that Debian's static archives want and an older C library lacks. Hidden, so that no
   wheel exports them; taken from this archive only where something asks for them. */
#define _GNU_SOURCE

#include <sys/syscall.h>
#include <unistd.h>

#define STAND_IN __attribute__((visibility("hidden")))

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

/* Stand-ins for functions that Debian's static archives want and an older C library lacks. Hidden, so that no
   wheel exports them; taken from this archive only where something asks for them. */
#define _GNU_SOURCE
#include <features.h>

#define STAND_IN __attribute__((visibility("hidden")))

#if defined(__GLIBC__) && __GLIBC_MINOR__ < 27
#include <sys/syscall.h>
#include <unistd.h>

STAND_IN int memfd_create(const char *name, unsigned int flags)
{
    return (int) syscall(SYS_memfd_create, name, flags);
}
#endif

#if defined(__GLIBC__) && __GLIBC_MINOR__ < 28
#include <fcntl.h>
#include <stdarg.h>

STAND_IN int fcntl64(int fd, int command, ...)
{
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fcntl(fd, command, argument);
}
#endif

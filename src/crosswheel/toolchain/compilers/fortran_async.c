/* In place of a member of GCC's Fortran runtime library, async.o, whose way to a thread's variable only works in
   programs, not in what they load. A unit without the first function's work is served synchronously, and then
   nobody calls the others. */
#include <stdlib.h>

#define HIDDEN __attribute__((visibility("hidden")))
#define NEVER(name) HIDDEN void name(void) { abort(); }

HIDDEN __thread void *thread_unit;
HIDDEN void _gfortrani_init_async_unit(void *unit) { (void) unit; }

NEVER(_gfortrani_async_close)
NEVER(_gfortrani_async_wait)
NEVER(_gfortrani_async_wait_id)
NEVER(_gfortrani_collect_async_errors)
NEVER(_gfortrani_enqueue_close)
NEVER(_gfortrani_enqueue_data_transfer_init)
NEVER(_gfortrani_enqueue_done)
NEVER(_gfortrani_enqueue_done_id)
NEVER(_gfortrani_enqueue_transfer)

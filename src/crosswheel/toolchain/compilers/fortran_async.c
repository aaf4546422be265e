/* In place of a member of GCC's Fortran runtime library, async.o, whose way to a thread's variable only works in
   programs, not in what they load. A unit without the first function's work is served synchronously, and then
   nobody calls the others. */
#define _GNU_SOURCE
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

/* What GCC's unwinder asks the C library, which has it since glibc 2.35: here by what every one tells. Not on 32-bit
   ARM, whose unwinder asks otherwise. */
#ifndef __arm__
#include <link.h>

struct found {
    unsigned long long flags;
    char *begin, *end;
    void *link_map, *frames;
    unsigned long long reserved[7];
};
struct search { char *address; struct found *found; };

static int visit(struct dl_phdr_info *info, size_t size, void *data)
{
    struct search *search = data;
    char *base = (char *) info->dlpi_addr, *begin = 0, *end = 0;
    void *frames = 0;
    int is_inside = 0;
    (void) size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        char *first = base + header->p_vaddr, *last = first + header->p_memsz;
        if (header->p_type == PT_GNU_EH_FRAME)
            frames = first;
        if (header->p_type != PT_LOAD)
            continue;
        begin = begin && begin < first ? begin : first;
        end = end > last ? end : last;
        is_inside |= search->address >= first && search->address < last;
    }
    if (!is_inside || !frames)
        return 0;
    *search->found = (struct found) {.begin = begin, .end = end, .frames = frames};
    return 1;
}

/* Newer headers declare it with a structure that older ones do not have. */
HIDDEN int find_object(void *address, struct found *found) __asm__("_dl_find_object");

int find_object(void *address, struct found *found)
{
    struct search search = {address, found};
    return dl_iterate_phdr(visit, &search) ? 0 : -1;
}
#endif

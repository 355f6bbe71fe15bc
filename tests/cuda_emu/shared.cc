/* shared.cc: shared memory. Every element remembers who wrote and who read it last, and when:
 * between two barriers no thread may read or overwrite what another wrote, nor overwrite what
 * another read, unless a __syncwarp() of their common warp stands between. That is stricter than
 * what a fault would show: a missing barrier is found under any schedule. */
#include <algorithm>

#include "emu.h"

namespace det_emu
{

/* Of shadow.writer and .reader beside thread numbers, and of .reader_warp beside warp numbers. */
enum { NOBODY = -1, SEVERAL = -2, UNCHECKED = -3 };

struct variable {
    const void *site;
    std::vector<uint64_t> storage; /* 8-byte aligned; 16 by a spare element */
    std::vector<shadow> shadows;
    void *values;
};

/* Of the running launch. unique_ptr: fibers keep pointers into them. */
static std::vector<std::unique_ptr<variable>> variables;
static size_t dynamic_bytes, static_bytes;

static variable *create(const void *site, size_t bytes, size_t elements)
{
    auto v = std::make_unique<variable>();
    v->site = site;
    v->storage.resize(bytes / 8 + 4);
    v->shadows.resize(elements);
    const uintptr_t at = ((uintptr_t)v->storage.data() + 15) & ~(uintptr_t)15;
    v->values = (void *)at;
    memset(v->values, 0xCD, bytes);
    variables.push_back(std::move(v));
    return variables.back().get();
}

void shared_begin_launch(size_t bytes)
{
    variables.clear();
    dynamic_bytes = bytes;
    static_bytes = 0;
}

static variable *find(const void *site)
{
    for (const auto &v : variables)
        if (v->site == site)
            return v.get();
    return nullptr;
}

void *shared_find(const void *site, const char *name, size_t element_bytes, size_t elements,
                  shadow **shadows)
{
    variable *v = find(site);
    if (v == nullptr) {
        static_bytes += element_bytes * elements;
        if (static_bytes > shared_default_bytes)
            fail("%s: %zu bytes of static shared memory, there are %zu", name, static_bytes,
                 shared_default_bytes);
        v = create(site, element_bytes * elements, elements);
    }
    *shadows = v->shadows.data();
    return v->values;
}

void *dynamic_find(const char *name, size_t element_bytes, size_t *elements, shadow **shadows)
{
    static const char site = 0;
    *elements = dynamic_bytes / element_bytes;
    if (*elements == 0)
        fail("%s: the launch gave no dynamic shared memory", name);
    variable *v = find(&site);
    if (v == nullptr)
        v = create(&site, dynamic_bytes, *elements);
    *shadows = v->shadows.data();
    return v->values;
}

/* The block's first touch of an element clears what earlier blocks left. */
static void freshen(shadow *s)
{
    if (s->block == block_serial)
        return;
    *s = shadow{};
    s->block = block_serial;
    s->writer = s->reader = s->reader_warp = NOBODY;
}

/* Is what `other` of warp `warp` did at those epochs over before what the running thread does
 * now? */
static bool ordered(int other, int warp, uint32_t epoch, uint32_t warp_epoch)
{
    return epoch != barrier_epoch || other == (int)self->linear ||
           (warp == (int)self->warp && warp_epoch != self->warp_epoch);
}

static void check_after_write(const shadow *s, const char *name, const char *verb)
{
    if (s->writer >= 0 && !ordered(s->writer, s->writer / 32, s->write_epoch, s->write_warp_epoch))
        fail("race: %s %s, which thread %d wrote with no barrier between", verb, name, s->writer);
}

static void check_after_read(const shadow *s, const char *name)
{
    if (s->reader == NOBODY ||
        ordered(s->reader, s->reader_warp, s->read_epoch, s->read_warp_epoch))
        return;
    if (s->reader == SEVERAL)
        fail("race: writes %s, which other threads read with no barrier between", name);
    fail("race: writes %s, which thread %d read with no barrier between", name, s->reader);
}

void shared_read(shadow *s, const char *name)
{
    freshen(s);
    if (s->writer == NOBODY)
        fail("reads %s where no thread of the block has written", name);
    check_after_write(s, name, "reads");
    const bool alone =
        s->reader == NOBODY || s->read_epoch != barrier_epoch || s->reader == (int)self->linear ||
        (s->reader_warp == (int)self->warp && s->read_warp_epoch != self->warp_epoch);
    const bool same_warp = alone || s->reader_warp == (int)self->warp;
    s->reader = alone ? (int16_t)self->linear : (int16_t)SEVERAL;
    s->reader_warp = same_warp ? (int16_t)self->warp : (int16_t)SEVERAL;
    s->read_epoch = barrier_epoch;
    s->read_warp_epoch = self->warp_epoch;
}

static void note_write(shadow *s, bool atomic)
{
    s->writer = (int16_t)self->linear;
    s->write_epoch = barrier_epoch;
    s->write_warp_epoch = self->warp_epoch;
    s->atomic = atomic;
    s->reader = s->reader_warp = NOBODY;
}

void shared_write(shadow *s, const char *name)
{
    freshen(s);
    check_after_write(s, name, "writes");
    check_after_read(s, name);
    note_write(s, false);
}

void shared_atomic(shadow *s, const char *name)
{
    freshen(s);
    if (s->writer == NOBODY)
        fail("atomic operation on %s where no thread of the block has written", name);
    if (!s->atomic)
        check_after_write(s, name, "atomic operation on");
    check_after_read(s, name);
    note_write(s, true);
}

void shared_escape(shadow *s, size_t elements)
{
    for (size_t i = 0; i < elements; i++) {
        freshen(&s[i]);
        s[i].writer = UNCHECKED;
    }
}

[[noreturn]] void shared_bounds(const char *name, long long index, size_t elements)
{
    fail("index %lld of shared %s, which has %zu", index, name, elements);
}

} // namespace det_emu

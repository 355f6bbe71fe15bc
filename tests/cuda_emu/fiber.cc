/* fiber.cc: stacks and switching between them. On x86-64 by hand (a switch saves eight registers),
 * else by ucontext. */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "emu.h"

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace det_emu
{

constexpr size_t stack_bytes = 128 * 1024;

struct fiber {
#ifdef __x86_64__
    void *top; /* stack pointer while it is not running */
#else
    ucontext_t context;
#endif
    char *stack; /* the guard page's first byte */
};

static fiber starter; /* the context that launches */
static fiber *running = &starter;

static size_t page()
{
    static const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    return bytes;
}

#ifdef __x86_64__
extern "C" void det_emu_switch(void **save, void *load);
__asm__(".text\n"
        ".globl det_emu_switch\n"
        ".type det_emu_switch, @function\n"
        "det_emu_switch:\n"
        "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
        "  movq %rsp, (%rdi)\n"
        "  movq %rsi, %rsp\n"
        "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
        "  ret\n"
        ".size det_emu_switch, . - det_emu_switch\n");

void fiber_restart(fiber *f, fiber_entry entry)
{
    /* What det_emu_switch() takes from a stack: six registers and the address to return to, here
     * `entry`. At its first instruction the stack is 8 below a multiple of 16, as after a call; a
     * zero stands for the caller. */
    void **top = (void **)(f->stack + page() + stack_bytes);
    *--top = nullptr;
    *--top = (void *)entry;
    for (int i = 0; i < 6; i++)
        *--top = nullptr;
    f->top = top;
}

static void switch_between(fiber *from, fiber *to)
{
    det_emu_switch(&from->top, to->top);
}
#else
void fiber_restart(fiber *f, fiber_entry entry)
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = f->stack + page();
    f->context.uc_stack.ss_size = stack_bytes;
    f->context.uc_link = nullptr;
    makecontext(&f->context, entry, 0);
}

static void switch_between(fiber *from, fiber *to)
{
    swapcontext(&from->context, &to->context);
}
#endif

fiber *fiber_create(fiber_entry entry)
{
    fiber *f = new fiber();
    void *stack = mmap(nullptr, page() + stack_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, page(), PROT_NONE) != 0) {
        perror("cuda_emu: a fiber's stack");
        abort();
    }
    f->stack = (char *)stack;
    fiber_restart(f, entry);
    return f;
}

void fiber_switch(fiber *to)
{
    fiber *const from = running;
    running = to != nullptr ? to : &starter;
    switch_between(from, running);
}

fiber *fiber_running()
{
    return running == &starter ? nullptr : running;
}

bool fiber_guard_holds(const fiber *f, const void *address)
{
    const char *at = (const char *)address;
    return f != nullptr && at >= f->stack && at < f->stack + page();
}

void fiber_back_at_start()
{
    running = &starter;
}

} // namespace det_emu

// The emulator's scheduler: the threads of a block are fibers that take turns on one thread of the host.
#include "emulator.h"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

thread_local uint3 threadIdx, blockIdx;
thread_local dim3 blockDim, gridDim;

namespace {

constexpr std::size_t STACK = 128 << 10;

// A place to run that can be left and entered again.
#if defined(__x86_64__)
// Six registers and the stack pointer are all that a call must keep; ucontext would ask the kernel as well.
asm(R"(
.text
.local likenet_switch
likenet_switch:
    pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
    movq %rsp, (%rdi)
    movq (%rsi), %rsp
    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
    ret
)");
extern "C" void likenet_switch(void** from, void** to);
struct Place {
    void* stack_pointer = nullptr;
    void begin(unsigned char* stack, void (*entry)()) {
        auto top = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(stack + STACK) & ~std::uintptr_t(15));
        *--top = nullptr;  // `entry` never returns; the stack is aligned as after a call
        *--top = reinterpret_cast<void*>(entry);
        for (int i = 0; i < 6; i++) *--top = nullptr;
        stack_pointer = top;
    }
    static void change(Place& from, Place& to) { likenet_switch(&from.stack_pointer, &to.stack_pointer); }
};
#else
struct Place {
    ucontext_t context;
    void begin(unsigned char* stack, void (*entry)()) {
        getcontext(&context);
        context.uc_stack.ss_sp = stack;
        context.uc_stack.ss_size = STACK;
        context.uc_link = nullptr;
        makecontext(&context, entry, 0);
    }
    static void change(Place& from, Place& to) { swapcontext(&from.context, &to.context); }
};
#endif

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "CUDA emulator: %s (block %u,%u,%u)\n", what.c_str(), blockIdx.x, blockIdx.y, blockIdx.z);
    std::abort();
}

struct Copy {
    void* to;
    const void* from;
    unsigned bytes, valid;
};

// A thread of the block.
struct Thread {
    bool done = false;
    std::function<bool()> ready;  // what it waits for, if anything
    std::vector<std::vector<Copy>> groups;
    std::vector<Copy> open;
};

// What some neighbouring threads exchange. There are two rooms: who is still reading from one is not disturbed by
// those who are already in the next exchange.
struct Meeting {
    int arrived = 0;
    unsigned round = 0;
    std::vector<unsigned char> room[2];
};

// Something to run fibers on, kept between launches.
struct Fiber {
    std::unique_ptr<unsigned char[]> stack{new unsigned char[STACK]};
    Place place;
};

struct Block {
    std::vector<Thread> threads;
    std::vector<unsigned> order;                // in which threads begin
    std::size_t next = 0;                       // the first of `order` that has not begun
    unsigned current = 0;                       // the thread that runs
    unsigned living = 0;                        // threads that have not ended
    unsigned at_barrier = 0, barrier_round = 0;
    std::map<std::pair<int, unsigned>, Meeting> meetings;
    std::vector<unsigned char> dynamic;
    Place scheduler;
    std::vector<std::unique_ptr<Fiber>> fibers;  // all there are
    std::vector<Fiber*> idle;
    std::vector<Fiber*> where;                   // each thread's
    Fiber* runner = nullptr;                     // the fiber that begins threads
    const std::function<void(void**)>* kernel = nullptr;
    void** params = nullptr;
};

thread_local Block block;

void enter(unsigned t) {
    block.current = t;
    threadIdx.x = t % blockDim.x;
    threadIdx.y = t / blockDim.x % blockDim.y;
    threadIdx.z = t / (blockDim.x * blockDim.y);
}

void leave_barrier_if_complete() {
    if (block.at_barrier > 0 && block.at_barrier == block.living) {
        block.at_barrier = 0;
        block.barrier_round++;
    }
}

// Runs threads one after the other. One that waits takes this fiber with it, and the scheduler starts another.
void run_threads() {
    for (;;) {
        Fiber* own = block.runner;
        while (block.next < block.order.size() && block.runner == own) {
            unsigned t = block.order[block.next++];
            enter(t);
            block.where[t] = own;
            (*block.kernel)(block.params);
            t = block.current;
            block.threads[t].done = true;
            if (!block.threads[t].open.empty()) fail("a thread ended with copies that belong to no group");
            block.living--;
            leave_barrier_if_complete();
        }
        // Either nothing is left to begin, or this fiber's thread had waited and another one begins threads now.
        block.idle.push_back(own);
        Place::change(own->place, block.scheduler);
    }
}

Fiber* fresh_fiber() {
    if (block.idle.empty()) {
        block.fibers.push_back(std::make_unique<Fiber>());
        block.idle.push_back(block.fibers.back().get());
    }
    Fiber* fiber = block.idle.back();
    block.idle.pop_back();
    fiber->place.begin(fiber->stack.get(), run_threads);
    return fiber;
}

void run_block() {
    unsigned count = blockDim.x * blockDim.y * blockDim.z;
    block.threads.resize(count);
    for (Thread& t : block.threads) {
        t.done = false;
        t.ready = nullptr;
        t.groups.clear();
        t.open.clear();
    }
    block.where.assign(count, nullptr);
    block.next = block.at_barrier = 0;
    block.living = count;
    block.meetings.clear();
    while (block.living > 0) {
        bool moved = false;
        if (block.next < count) {
            block.runner = fresh_fiber();
            Place::change(block.scheduler, block.runner->place);
            moved = true;
            continue;  // first all begin
        }
        block.runner = nullptr;
        for (unsigned t : block.order) {
            Thread& thread = block.threads[t];
            if (thread.done || !thread.ready || !thread.ready()) continue;
            thread.ready = nullptr;
            enter(t);
            Place::change(block.scheduler, block.where[t]->place);
            moved = true;
        }
        if (!moved) fail("no thread can go on: a barrier or an exchange is not reached by all");
    }
}

std::map<std::string, std::function<void(void**)>>& kernels() {
    static std::map<std::string, std::function<void(void**)>> all;
    return all;
}

void arrange(unsigned count) {
    const char* order = std::getenv("LIKENET_EMULATOR_ORDER");
    std::string name = order ? order : "forward";
    block.order.resize(count);
    for (unsigned i = 0; i < count; i++) block.order[i] = name == "backward" ? count - 1 - i : i;
    if (name != "shuffled") return;
    static thread_local uint64_t state = 1;
    for (unsigned i = count; i > 1; i--) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        std::swap(block.order[i - 1], block.order[(state >> 33) % i]);
    }
}

}  // namespace

namespace emulator {

Kernel::Kernel(const char* name, std::function<void(void**)> call) { kernels()[name] = std::move(call); }

unsigned linear_thread() { return block.current; }
unsigned char* dynamic_shared() {
    auto at = reinterpret_cast<std::uintptr_t>(block.dynamic.data());
    return reinterpret_cast<unsigned char*>((at + 1023) & ~std::uintptr_t(1023));
}

void wait_until(const std::function<bool()>& ready) {
    if (ready()) return;
    unsigned own = block.current;
    Fiber* fiber = block.where[own];
    block.threads[own].ready = ready;
    if (block.runner == fiber) block.runner = nullptr;
    Place::change(fiber->place, block.scheduler);
}

void block_barrier() {
    unsigned round = block.barrier_round;
    block.at_barrier++;
    leave_barrier_if_complete();
    wait_until([round] { return block.barrier_round != round; });
}

void exchange(int threads, void* own, std::size_t bytes, void (*all)(void*, const void*), const void* context) {
    unsigned rank = block.current % unsigned(threads);
    Meeting& m = block.meetings[{threads, block.current / unsigned(threads)}];
    unsigned round = m.round;
    auto& room = m.room[round & 1];
    if (room.size() < bytes * unsigned(threads)) room.resize(bytes * unsigned(threads));
    std::memcpy(room.data() + rank * bytes, own, bytes);
    if (++m.arrived == threads) {
        all(room.data(), context);
        m.arrived = 0;
        m.round++;
    }
    wait_until([&m, round] { return m.round != round; });
    std::memcpy(own, room.data() + rank * bytes, bytes);
}

void copy_later(void* to, const void* from, unsigned bytes, unsigned valid) {
    block.threads[block.current].open.push_back({to, from, bytes, valid});
}

void close_group() {
    Thread& t = block.threads[block.current];
    t.groups.push_back(std::move(t.open));
    t.open.clear();
}

void finish_groups(unsigned but_newest) {
    auto& groups = block.threads[block.current].groups;
    while (groups.size() > but_newest) {
        for (const Copy& c : groups.front()) {
            std::memcpy(c.to, c.from, c.valid);
            std::memset(static_cast<unsigned char*>(c.to) + c.valid, 0, c.bytes - c.valid);
        }
        groups.erase(groups.begin());
    }
}

}  // namespace emulator

// Runs a kernel to its end. 0: done; 1: no such kernel; 2: a launch that no device takes.
extern "C" int likenet_emulate(const char* name, const unsigned grid[3], const unsigned size[3], unsigned shared,
                               void** params) {
    auto kernel = kernels().find(name);
    if (kernel == kernels().end()) return 1;
    unsigned long long count = 1ull * size[0] * size[1] * size[2];
    if (count == 0 || count > 1024 || grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || grid[1] > 65535 ||
        grid[2] > 65535 || size[2] > 64 || shared > (227u << 10))
        return 2;
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {size[0], size[1], size[2]};
    block.kernel = &kernel->second;
    block.params = params;
    arrange(unsigned(count));
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                block.dynamic.assign(shared + 1024, 0xff);  // NaN: nobody may count on what was there
                run_block();
            }
    return 0;
}

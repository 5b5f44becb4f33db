// Runs tokens on an emitted core, through its host interface alone, and records what it does.
//
// Arguments: +run=<file> (numbers, below), +input=<file> (int32 words of all tokens), +record=<file> (out), images of the
// memories (+program=<file> …), and, in a build with tracing, +wave=<file> with +from=<cycle> +to=<cycle>.
//
// The run file holds, as decimal numbers: token entry, clear entry, first word and number of words of the input
// vector, the same of the output, tokens, the most cycles a token may take, the positions there is room for, and tokens
// of a sequence: state and caches are cleared, and counters read, before every one but the first.
//
// A core without trace ports leaves writes and instructions out of the record.
//
// The record is a sequence of three 32-bit words: kind << 24 | address, data, cycle.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <type_traits>
#include <vector>

#include "Vspike_core.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_vcd_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

enum Kind : uint32_t { WRITE = 0, DONE = 1, SKIPPED = 2, OUTPUT = 3, COUNTER = 4, TOKEN = 5, CLEARED = 6 };
enum Register : uint32_t {
    CONTROL = 0x0C, STATUS = 0x10, ENTRY = 0x14, POSITION = 0x18, TARGET = 0x1C,
    ADDRESS = 0x20, LENGTH = 0x24, TRANSFER = 0x28, CLEAR = 0x2C, CONTEXT = 0x30, ERROR = 0x34, COUNTERS = 0x100
};
constexpr int COUNTER_COUNT = 11;
constexpr int POLL_CYCLES = 32;

static VerilatedContext context;

static std::string argument(const char* name, const char* otherwise = "") {
    const std::string prefix = std::string(name) + "=";
    const char* found = context.commandArgsPlusMatch(prefix.c_str());
    return *found ? std::string(found + 1 + prefix.size()) : std::string(otherwise);
}

static void fail(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::exit(2);
}

// Word i of a port as Verilator holds it: a number up to 64 bits, beyond them an array of words.
template <class Port> static uint32_t part(const Port& port, uint32_t i) {
    if constexpr (std::is_integral_v<Port>) return uint32_t(uint64_t(port) >> (32 * i));
    else return port[i];
}

class Bench {
  public:
    Bench() : core(&context) {
        record = std::fopen(argument("record").c_str(), "wb");
        if (!record) fail("the record cannot be written: " + argument("record"));
        std::setvbuf(record, nullptr, _IOFBF, 1 << 20);
#if VM_TRACE
        if (!argument("wave").empty()) {
            context.traceEverOn(true);
            core.trace(&wave, 99);
            wave.open(argument("wave").c_str());
            from = std::stoull(argument("from", "0"));
            to = std::stoull(argument("to", "18446744073709551615"));
        }
#endif
        core.clk = 0;
        core.rst = 1;
        for (int i = 0; i < 4; ++i) tick();
        core.rst = 0;
        tick();
    }

    ~Bench() {
        core.final();
#if VM_TRACE
        wave.close();
#endif
#if VM_COVERAGE
        if (!argument("coverage").empty()) context.coveragep()->write(argument("coverage").c_str());
#endif
        std::fclose(record);
    }

    // One clock cycle. Inputs set before are taken by its rising edge; outputs read after belong to the next cycle.
    void tick() {
        core.eval();
        dump(0);
        observe();
        core.clk = 1;
        core.eval();
        dump(1);
        core.clk = 0;
        ++cycle;
    }

    void put(uint32_t kind, uint32_t address, uint32_t data) {
        const uint32_t words[3] = {kind << 24 | address, data, uint32_t(cycle)};
        std::fwrite(words, 4, 3, record);
    }

    void write(uint32_t address, uint32_t data) {
        core.s_axil_awaddr = address;
        core.s_axil_awvalid = 1;
        core.s_axil_wdata = data;
        core.s_axil_wstrb = 15;
        core.s_axil_wvalid = 1;
        core.s_axil_bready = 1;
        bool answered = false;
        for (int i = 0; i < 1000 && !answered; ++i) {
            core.eval();
            const bool aw = core.s_axil_awvalid && core.s_axil_awready;
            const bool w = core.s_axil_wvalid && core.s_axil_wready;
            answered = core.s_axil_bvalid;
            if (answered && core.s_axil_bresp) fail("a register write was refused");
            tick();
            if (aw) core.s_axil_awvalid = 0;
            if (w) core.s_axil_wvalid = 0;
        }
        core.s_axil_bready = 0;
        if (!answered) fail("a register write got no answer");
    }

    uint32_t read(uint32_t address) {
        core.s_axil_araddr = address;
        core.s_axil_arvalid = 1;
        core.s_axil_rready = 1;
        for (int i = 0; i < 1000; ++i) {
            core.eval();
            const bool ar = core.s_axil_arvalid && core.s_axil_arready;
            const bool answered = core.s_axil_rvalid;
            const uint32_t data = core.s_axil_rdata;
            if (answered && core.s_axil_rresp) fail("a register read was refused");
            tick();
            if (ar) core.s_axil_arvalid = 0;
            if (answered) {
                core.s_axil_rready = 0;
                return data;
            }
        }
        fail("a register read got no answer");
        return 0;
    }

    void send(uint32_t address, const uint32_t* words, uint32_t count) {
        transfer(address, count, 1);
        for (uint32_t i = 0; i < count;) {
            core.s_axis_tdata = words[i];
            core.s_axis_tlast = i + 1 == count;
            core.s_axis_tvalid = 1;
            core.eval();
            const bool taken = core.s_axis_tready;
            tick();
            if (taken) ++i;
        }
        core.s_axis_tvalid = 0;
        wait(4, 1000, "a transfer to the core");
    }

    void receive(uint32_t address, uint32_t count) {
        transfer(address, count, 2);
        core.m_axis_tready = 1;
        for (uint32_t i = 0, idle = 0; i < count;) {
            core.eval();
            const bool given = core.m_axis_tvalid;
            if (given) put(OUTPUT, i++, core.m_axis_tdata);
            if (++idle > 1000 + 4 * count) fail("the output stream stopped");
            tick();
        }
        core.m_axis_tready = 0;
        wait(4, 1000, "a transfer from the core");
    }

    void run(uint32_t entry, uint32_t control, uint64_t most) {
        write(ENTRY, entry);
        write(CONTROL, control);
        wait(1, most, "the program");
        if (const uint32_t error = read(ERROR)) fail("the program ended with ERROR " + std::to_string(error));
    }

    void counters() {
        for (uint32_t i = 0; i < COUNTER_COUNT; ++i) {
            const uint32_t low = read(COUNTERS + 8 * i);
            put(COUNTER, 2 * i, low);
            put(COUNTER, 2 * i + 1, read(COUNTERS + 8 * i + 4));
        }
    }

    uint64_t cycle = 0;

  private:
    void observe() { observe(core); }

    template <class Core> void observe(const Core& seen) {
        if constexpr (requires { seen.trace_write; }) {
            for (uint32_t written = seen.trace_write, i = 0; written; written >>= 1, ++i)
                if (written & 1) put(WRITE, seen.trace_write_address + i, part(seen.trace_write_data, i));
            if (seen.trace_done) put(seen.trace_skipped ? SKIPPED : DONE, seen.trace_address, seen.trace_cycles);
        }
    }

    void dump(int half) {
#if VM_TRACE
        if (wave.isOpen() && cycle >= from && cycle <= to) wave.dump(2 * cycle + half);
#else
        (void)half;
#endif
    }

    void transfer(uint32_t address, uint32_t count, uint32_t direction) {
        write(TARGET, 0);
        write(ADDRESS, address);
        write(LENGTH, count);
        write(TRANSFER, direction);
    }

    // Until the bits of STATUS are clear; the bus is left alone in between.
    void wait(uint32_t bits, uint64_t most, const char* what) {
        const uint64_t limit = cycle + most;
        while (read(STATUS) & bits) {
            for (int i = 0; i < POLL_CYCLES; ++i) tick();
            if (cycle > limit) fail(std::string(what) + " did not end");
        }
    }

    Vspike_core core;
    std::FILE* record = nullptr;
#if VM_TRACE
    VerilatedVcdC wave;
    uint64_t from = 0, to = 0;
#endif
};

int main(int argc, char** argv) {
    context.commandArgs(argc, argv);
    unsigned long long token_entry, clear_entry, input, input_words, output, output_words, tokens, most, context_positions, length;
    std::FILE* settings = std::fopen(argument("run").c_str(), "r");
    if (!settings || std::fscanf(settings, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", &token_entry,
                                 &clear_entry, &input, &input_words, &output, &output_words, &tokens, &most,
                                 &context_positions, &length) != 10)
        fail("the run file must hold ten numbers: " + argument("run"));
    std::fclose(settings);
    std::vector<uint32_t> words(tokens * input_words);
    std::FILE* file = std::fopen(argument("input").c_str(), "rb");
    if (!file || std::fread(words.data(), 4, words.size(), file) != words.size())
        fail("the input must hold all tokens: " + argument("input"));
    std::fclose(file);

    Bench bench;
    bench.write(CONTEXT, context_positions);
    bench.run(clear_entry, 3, most);
    bench.put(TOKEN, 0, 0);
    bench.write(POSITION, 0);
    bench.write(CLEAR, 1);
    for (unsigned long long token = 0; token < tokens; ++token) {
        if (token && token % length == 0) {
            bench.counters();
            bench.run(clear_entry, 3, most);
            bench.write(POSITION, 0);
            bench.write(CLEAR, 1);
            bench.put(CLEARED, 0, 0);
        }
        bench.send(input, &words[token * input_words], input_words);
        bench.run(token_entry, 1, most);
        bench.receive(output, output_words);
        bench.put(TOKEN, 0, token + 1);
    }
    bench.counters();
    std::printf("%llu\n", static_cast<unsigned long long>(bench.cycle));
    return 0;
}

// A small system around the core: clock, reset and a bus master that reaches the core through AXI4-Lite, AXI-Stream and
// the interrupt line alone, as a processor with a DMA engine would.
//
// It checks what every register is after reset, loads program, vector and row memory over the stream, runs the clearing
// program, then every token, and compares the output words with system_expected.hex. The last line begins with PASS; a difference,
// a refused access or anything that does not end is a line that begins with FAIL, and $fatal.
//
// system.vh holds the numbers of this core. Plusargs: +tokens=<n> runs fewer tokens. +faults then makes every error that a
// bus master can make, recovers as README.md says, saves and restores row memory, and runs the tokens again (faults.vh).
`timescale 1ns / 1ps

module system;
    `include "system.vh"

    localparam [15:0] STATUS = 'h10, CONTROL = 'h0C, ENTRY = 'h14, POSITION = 'h18, TARGET = 'h1C, ADDRESS = 'h20,
        LENGTH = 'h24, TRANSFER = 'h28, CONTEXT = 'h30, ERROR = 'h34, ABORT = 'h38, IRQ_STATUS = 'h3C, IRQ_MASK = 'h40;
    localparam [31:0] DONE = 1, TRANSFERRED = 2, FAULT = 4;  // bits of IRQ_STATUS and IRQ_MASK
    localparam [31:0] VECTOR = 0, ROW = 1, PROGRAM = 2;      // values of TARGET
    localparam [31:0] IN = 1, OUT = 2, DROP = 3;             // values of TRANSFER
    localparam [1:0] OKAY = 0, SLVERR = 2;                   // responses
    localparam integer PATIENCE = 1000;                      // cycles that a handshake may take

    reg clk = 0, rst = 1;
    reg [15:0] awaddr = 0, araddr = 0;
    reg [31:0] wdata = 0, tdata = 0;
    reg awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0, tvalid = 0, tlast = 0, tready = 0;
    wire awready, wready, bvalid, arready, rvalid, in_ready, out_valid, out_last, irq;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata, out_data;

    spike_core core (
        .clk(clk), .rst(rst), .irq(irq),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'b000), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'b1111), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(3'b000), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .s_axis_tdata(tdata), .s_axis_tvalid(tvalid), .s_axis_tready(in_ready), .s_axis_tlast(tlast),
        .m_axis_tdata(out_data), .m_axis_tvalid(out_valid), .m_axis_tready(tready), .m_axis_tlast(out_last)
    );

    always #(PERIOD_NS / 2.0) clk = ~clk;

    integer cycle = 0;
    always @(posedge clk) cycle = cycle + 1;

    // The handshakes of a rising edge, and what they took. Inputs of the core change a little after the edge.
    reg took_aw, took_w, got_b, took_ar, got_r, took_in, got_out, last;
    reg [1:0] response;
    reg [31:0] value, found;

    task step;
        begin
            @(posedge clk);
            took_aw = awvalid && awready;
            took_w = wvalid && wready;
            got_b = bvalid && bready;
            took_ar = arvalid && arready;
            got_r = rvalid && rready;
            took_in = tvalid && in_ready;
            got_out = out_valid && tready;
            if (got_b) response = bresp;
            if (got_r) {response, value} = {rresp, rdata};
            if (got_out) {last, value} = {out_last, out_data};
            #(PERIOD_NS / 10.0);
        end
    endtask

    task fail(input integer where, input [31:0] got, input [31:0] due);
        begin
            case (where)
                0: $display("FAIL: register 0x%03h is 0x%08h after reset, not 0x%08h", register[11:0], got, due);
                1: $display("FAIL: the write to register 0x%03h got response %0d, not %0d", register[11:0], got, due);
                2: $display("FAIL: the read of register 0x%03h got response %0d", register[11:0], got);
                3: $display("FAIL: no answer on the bus, register 0x%03h", register[11:0]);
                4: $display("FAIL: the input stream took no word");
                5: $display("FAIL: the output stream gave no word");
                6: $display("FAIL: no interrupt for event %0d, IRQ_STATUS 0x%0h", due, got);
                7: $display("FAIL: ERROR is 0x%0h, not 0x%0h", got, due);
                8: $display("FAIL: word %0d of the outputs is 0x%08h, not 0x%08h", word_number, got, due);
                9: $display("FAIL: TLAST is %0d at word %0d of the outputs", got, word_number);
                10: $display("FAIL: POSITION is %0d, not %0d", got, due);
                default: $display("FAIL: STATUS is 0x%0h, not 0x%0h", got, due);
            endcase
            $fatal(1, "the core does not do what it must");
        end
    endtask

    reg [15:0] register = 0;  // of the last access
    integer word_number = 0;  // of the outputs, over all tokens
    integer waited;
    reg [1:0] wanted = OKAY;  // the response to a write

    task write(input [15:0] address, input [31:0] data);
        begin
            register = address;
            {awaddr, wdata} = {address, data};
            {awvalid, wvalid, bready} = 3'b111;
            got_b = 0;
            for (waited = 0; !got_b; waited = waited + 1) begin
                if (waited == PATIENCE) fail(3, 0, 0);
                step;
                if (took_aw) awvalid = 0;
                if (took_w) wvalid = 0;
            end
            bready = 0;
            if (response !== wanted) fail(1, {30'd0, response}, {30'd0, wanted});
        end
    endtask

    // Leaves the word in `value`.
    task read(input [15:0] address);
        begin
            register = address;
            araddr = address;
            {arvalid, rready} = 2'b11;
            got_r = 0;
            for (waited = 0; !got_r; waited = waited + 1) begin
                if (waited == PATIENCE) fail(3, 0, 0);
                step;
                if (took_ar) arvalid = 0;
            end
            rready = 0;
            if (response !== OKAY) fail(2, {30'd0, response}, 0);
        end
    endtask

    // A word to the input stream; calls without a step between them give a word per cycle.
    task put(input [31:0] data, input is_last);
        begin
            {tdata, tlast, tvalid} = {data, is_last, 1'b1};
            took_in = 0;
            for (waited = 0; !took_in; waited = waited + 1) begin
                if (waited == PATIENCE) fail(4, 0, 0);
                step;
            end
            tvalid = 0;
        end
    endtask

    // The next word of the output stream, left in `value`, and its TLAST in `last`.
    task get;
        begin
            tready = 1;
            got_out = 0;
            for (waited = 0; !got_out; waited = waited + 1) begin
                if (waited == PATIENCE) fail(5, 0, 0);
                step;
            end
            tready = 0;
        end
    endtask

    integer since;

    // Until the interrupt line says that this event has come; clears it.
    task await(input [31:0] event_bit, input integer most);
        begin
            for (since = 0; irq !== 1 && since <= most; since = since + 1) step;
            read(IRQ_STATUS);
            found = value;
            if ((found & FAULT) != 0) begin
                read(ERROR);
                fail(7, value, 0);
            end
            if ((found & event_bit) == 0) fail(6, found, event_bit);
            write(IRQ_STATUS, event_bit);
        end
    endtask

    // From `address` of a memory on, `words` words of the stream; the words follow, then `await(TRANSFERRED, …)`.
    task transfer(input [31:0] target, input [31:0] address, input [31:0] words, input [31:0] direction);
        begin
            write(TARGET, target);
            write(ADDRESS, address);
            write(LENGTH, words);
            write(TRANSFER, direction);
        end
    endtask

    task run(input [31:0] entry, input [31:0] control);
        begin
            write(ENTRY, entry);
            write(CONTROL, control);
            await(DONE, MOST_CYCLES);
        end
    endtask

    // Images. Arrays have at least one element, whatever the core has.
    reg [511:0] program_image [0:(PROGRAM_LINES > 0 ? PROGRAM_LINES : 1) - 1];
    reg [31:0] vector_image [0:VECTOR_BANKS * (VECTOR_LINES > 0 ? VECTOR_LINES : 1) - 1];
    reg [32 * ROW_WORDS - 1:0] row_image [0:WAYS * (ROW_LINES > 0 ? ROW_LINES : 1) - 1];
    reg [31:0] inputs [0:TOKENS * INPUT_WORDS - 1];
    reg [31:0] expected [0:TOKENS * OUTPUT_WORDS - 1];
    reg [47:0] after_reset [0:READABLE - 1];
    reg [8 * 16 - 1:0] name;
    reg [511:0] line;
    reg [32 * ROW_WORDS - 1:0] row;
    integer bank, row_number, word, lines;

    task read_images;
        begin
            $readmemh("system_registers.hex", after_reset);
            $readmemh("system_input.hex", inputs);
            $readmemh("system_expected.hex", expected);
            $readmemh("program.hex", program_image);
            for (bank = 0; bank < VECTOR_BANKS; bank = bank + 1) begin
                lines = (VECTOR_WORDS + VECTOR_BANKS - 1 - bank) / VECTOR_BANKS;
                $sformat(name, "vector_%02d.hex", bank);
                if (lines > 0)
                    $readmemh(name, vector_image, bank * VECTOR_LINES, bank * VECTOR_LINES + lines - 1);
            end
            for (bank = 0; bank < WAYS; bank = bank + 1) begin
                $sformat(name, "row_%02d.hex", bank);
                if (ROW_LINES > 0)
                    $readmemh(name, row_image, bank * ROW_LINES, bank * ROW_LINES + ROW_LINES - 1);
            end
        end
    endtask

    // Instructions of 16 words, lowest bits first.
    task load_program;
        begin
            transfer(PROGRAM, 0, 16 * PROGRAM_LINES, IN);
            for (row_number = 0; row_number < PROGRAM_LINES; row_number = row_number + 1) begin
                line = program_image[row_number];
                for (word = 0; word < 16; word = word + 1)
                    put(line[32 * word +: 32], row_number == PROGRAM_LINES - 1 && word == 15);
            end
            await(TRANSFERRED, PATIENCE);
        end
    endtask

    // Word i is line i / VECTOR_BANKS of the image i mod VECTOR_BANKS.
    task load_vectors;
        begin
            transfer(VECTOR, 0, VECTOR_WORDS, IN);
            for (word = 0; word < VECTOR_WORDS; word = word + 1)
                put(vector_image[(word % VECTOR_BANKS) * VECTOR_LINES + word / VECTOR_BANKS], word == VECTOR_WORDS - 1);
            await(TRANSFERRED, PATIENCE);
        end
    endtask

    // Row by row, bank by bank, each row filled up to whole words, lowest column first.
    task load_rows;
        begin
            transfer(ROW, 0, ROW_LINES * WAYS * ROW_WORDS, IN);
            for (row_number = 0; row_number < ROW_LINES; row_number = row_number + 1)
                for (bank = 0; bank < WAYS; bank = bank + 1) begin
                    row = row_image[bank * ROW_LINES + row_number];
                    for (word = 0; word < ROW_WORDS; word = word + 1)
                        put(row[32 * word +: 32],
                            row_number == ROW_LINES - 1 && bank == WAYS - 1 && word == ROW_WORDS - 1);
                end
            await(TRANSFERRED, PATIENCE);
        end
    endtask

    integer tokens, token, begun;

    task check_registers;
        for (word = 0; word < READABLE; word = word + 1) begin
            read(after_reset[word][47:32]);
            if (value !== after_reset[word][31:0]) fail(0, value, after_reset[word][31:0]);
        end
    endtask

    // What a reset takes away: interrupts, and room for positions.
    task set_up;
        begin
            write(IRQ_MASK, DONE | TRANSFERRED | FAULT);
            write(CONTEXT, POSITIONS);
        end
    endtask

    task run_sequence;
        begin
            word_number = 0;
            run(CLEAR_ENTRY, 3);
            write(POSITION, 0);
            for (token = 0; token < tokens; token = token + 1) begin
                transfer(VECTOR, INPUT_ADDRESS, INPUT_WORDS, IN);
                for (word = 0; word < INPUT_WORDS; word = word + 1)
                    put(inputs[token * INPUT_WORDS + word], word == INPUT_WORDS - 1);
                await(TRANSFERRED, PATIENCE);
                begun = cycle;
                run(TOKEN_ENTRY, 1);
                $display("token %0d: %0d cycles", token, cycle - begun);
                transfer(VECTOR, OUTPUT_ADDRESS, OUTPUT_WORDS, OUT);
                for (word = 0; word < OUTPUT_WORDS; word = word + 1) begin
                    get;
                    if (value !== expected[word_number]) fail(8, value, expected[word_number]);
                    if (last !== (word == OUTPUT_WORDS - 1)) fail(9, {31'd0, last}, 0);
                    word_number = word_number + 1;
                end
                await(TRANSFERRED, PATIENCE);
            end
            read(ERROR);
            if (value !== 0) fail(7, value, 0);
            read(POSITION);
            if (value !== tokens) fail(10, value, tokens);
            read(STATUS);
            if (value !== 2) fail(11, value, 2);
        end
    endtask

    `include "faults.vh"

    initial begin
        tokens = TOKENS;
        if ($value$plusargs("tokens=%d", tokens) && tokens > TOKENS) tokens = TOKENS;
        read_images;
        repeat (4) step;
        rst = 0;
        step;
        check_registers;
        set_up;
        if (PROGRAM_LINES > 0) load_program;
        if (VECTOR_WORDS > 0) load_vectors;
        if (ROW_LINES > 0) load_rows;
        $display("loaded: %0d instructions, %0d words, %0d rows in each of %0d banks; cycle %0d",
            PROGRAM_LINES, VECTOR_WORDS, ROW_LINES, WAYS, cycle);
        run_sequence;
        if ($test$plusargs("faults")) begin
            make_faults;
            run_sequence;
        end
        $display("PASS: %0d tokens, all %0d words as expected, %0d cycles", tokens, word_number, cycle);
        $finish;
    end
endmodule

// Part of system.v: the errors that a bus master can make, and the way out of each, as README.md tells it.

// A write that must be refused.
task refuse(input [15:0] address, input [31:0] data);
    begin
        wanted = SLVERR;
        write(address, data);
        wanted = OKAY;
    end
endtask

// ERROR must be this one bit; clears it.
task clear_error(input [31:0] bit_of_it);
    begin
        read(ERROR);
        if (value !== bit_of_it) fail(7, value, bit_of_it);
        write(ERROR, bit_of_it);
        read(ERROR);
        if (value !== 0) fail(7, value, 0);
    end
endtask

// Until no transfer runs; its event is cleared. STATUS without `done` must then be this.
task settle(input [31:0] status);
    begin
        value = 4;
        for (since = 0; value[2]; since = since + 1) begin
            if (since == PATIENCE) fail(11, value, status);
            read(STATUS);
        end
        if ((value & ~32'd2) !== status) fail(11, value, status);
        write(IRQ_STATUS, TRANSFERRED);
    end
endtask

// Row memory as the stream has it.
reg [31:0] saved [0:(ROW_LINES > 0 ? ROW_LINES * WAYS * ROW_WORDS : 1) - 1];
integer place;

task load_saved(input [31:0] mask);
    begin
        transfer(ROW, 0, ROW_LINES * WAYS * ROW_WORDS, IN);
        for (place = 0; place < ROW_LINES * WAYS * ROW_WORDS; place = place + 1)
            put(saved[place] ^ mask, place == ROW_LINES * WAYS * ROW_WORDS - 1);
        await(TRANSFERRED, PATIENCE);
    end
endtask

task make_faults;
    begin
        write(IRQ_MASK, 0);

        // A start beyond the positions, one beyond program memory, a transfer beyond its memory: refused.
        write(ENTRY, TOKEN_ENTRY);
        write(CONTEXT, 1);
        write(POSITION, 1);
        refuse(CONTROL, 1);
        clear_error(1);
        write(CONTEXT, POSITIONS);
        write(POSITION, 0);
        write(ENTRY, 'hFFFFFF);
        refuse(CONTROL, 1);
        clear_error(2);
        write(TARGET, VECTOR);
        write(ADDRESS, 'hFFFFFFFF);
        write(LENGTH, 1);
        refuse(TRANSFER, IN);
        clear_error(16);

        // A frame that is too short; one that is too long, whose rest is dropped.
        transfer(VECTOR, INPUT_ADDRESS, 2, IN);
        put(0, 1);
        settle(8 | 32);
        clear_error(32);
        transfer(VECTOR, INPUT_ADDRESS, 1, IN);
        put(0, 0);
        settle(16 | 32);
        clear_error(32);
        write(TRANSFER, DROP);
        put(1, 0);
        put(2, 1);
        settle(0);

        // Words that never come, and words that nobody takes.
        transfer(VECTOR, INPUT_ADDRESS, 2, IN);
        put(0, 0);
        refuse(CONTROL, 1);
        write(ABORT, 1);
        settle(0);
        transfer(VECTOR, OUTPUT_ADDRESS, OUTPUT_WORDS, OUT);
        write(ABORT, 1);
        last = 0;
        while (!last) get;
        settle(0);

        // An instruction that there is not, in the place of the last; the program is loaded again.
        transfer(PROGRAM, PROGRAM_LINES - 1, 16, IN);
        for (word = 0; word < 16; word = word + 1) put('hFFFFFFFF, word == 15);
        settle(0);
        write(IRQ_STATUS, DONE);
        write(IRQ_MASK, DONE);
        write(ENTRY, PROGRAM_LINES - 1);
        write(CONTROL, 3);
        for (since = 0; irq !== 1; since = since + 1) begin
            if (since == PATIENCE) fail(6, 0, DONE);
            step;
        end
        clear_error(4);
        write(IRQ_STATUS, DONE);
        set_up;
        load_program;

        // Row memory saved, overwritten, restored.
        if (ROW_LINES > 0) begin
            transfer(ROW, 0, ROW_LINES * WAYS * ROW_WORDS, OUT);
            for (place = 0; place < ROW_LINES * WAYS * ROW_WORDS; place = place + 1) begin
                get;
                saved[place] = value;
            end
            await(TRANSFERRED, PATIENCE);
            load_saved('hFFFFFFFF);
            load_saved(0);
        end

        // A run that is given up: everything but the memories is as after a reset.
        write(POSITION, 0);
        write(ENTRY, TOKEN_ENTRY);
        write(CONTROL, 1);
        read(STATUS);
        if (value[0] !== 1) fail(11, value, 1);
        write(ABORT, 2);
        repeat (4) step;
        check_registers;
        set_up;
        $display("faults: all reported, all mended; cycle %0d", cycle);
    end
endtask

// A host in Verilog for a simulator with four states: it plays a script on an emitted core, through AXI4-Lite and
// AXI-Stream alone, and fails at the first output that is X where it may not be.
//
// Plusargs: +script=<file> (hexadecimal words for $readmemh, below), +results=<file> (out: a word received per line),
// +cycles=<most cycles of the run>.
//
// The script is a sequence of instructions, each a word and its operands:
//   0                      end
//   1 address data         write a register
//   2 mask                 read STATUS until the bits of the mask are 0
//   3 count word …         send words on the stream, TLAST with the last one
//   4 count                receive words from the stream; TLAST must come with the last one
//   5 address              read a register and put it among the results
//
// Never X from the end of reset on: every valid and ready. Never X while valid: data, TLAST and responses. A core with
// trace ports, told by the macro TRACE, is held to the same there.
`timescale 1ns / 1ps
module four_state;
    localparam integer SCRIPT_WORDS = 1 << 20;
    localparam [15:0] STATUS = 16'h0010;

    reg clk = 0, rst = 0;
    reg [15:0] awaddr = 0, araddr = 0;
    reg [31:0] wdata = 0, s_tdata = 0;
    reg awvalid = 0, wvalid = 0, bready = 0, arvalid = 0, rready = 0, s_tvalid = 0, s_tlast = 0, m_tready = 0;
    wire awready, wready, bvalid, arready, rvalid, s_tready, m_tvalid, m_tlast;
    wire [1:0] bresp, rresp;
    wire [31:0] rdata, m_tdata;

    spike_core dut (
        .clk(clk), .rst(rst),
        .s_axil_awaddr(awaddr), .s_axil_awprot(3'd0), .s_axil_awvalid(awvalid), .s_axil_awready(awready),
        .s_axil_wdata(wdata), .s_axil_wstrb(4'hf), .s_axil_wvalid(wvalid), .s_axil_wready(wready),
        .s_axil_bresp(bresp), .s_axil_bvalid(bvalid), .s_axil_bready(bready),
        .s_axil_araddr(araddr), .s_axil_arprot(3'd0), .s_axil_arvalid(arvalid), .s_axil_arready(arready),
        .s_axil_rdata(rdata), .s_axil_rresp(rresp), .s_axil_rvalid(rvalid), .s_axil_rready(rready),
        .s_axis_tdata(s_tdata), .s_axis_tvalid(s_tvalid), .s_axis_tlast(s_tlast), .s_axis_tready(s_tready),
        .m_axis_tdata(m_tdata), .m_axis_tvalid(m_tvalid), .m_axis_tlast(m_tlast), .m_axis_tready(m_tready)
    );

    always #5 clk = ~clk;

    reg [31:0] script [0:SCRIPT_WORDS-1];
    reg [8*256-1:0] path;
    integer results, at, i, cycle = 0, most;
    reg watching = 0;

    task fail(input [8*40-1:0] what);
        begin
            $display("cycle %0d: %0s, at word %0d of the script", cycle, what, at);
            $finish;
        end
    endtask

    // Before the edge, when everything that follows from the edge before has settled.
    always @(negedge clk) begin
        cycle = cycle + 1;
        if (cycle > most) fail("the script must end");
        if (watching) begin
            if (^{awready, wready, bvalid, arready, rvalid, s_tready, m_tvalid} === 1'bx)
                fail("a valid or ready is X");
            if (bvalid && ^bresp === 1'bx) fail("a write's response is X");
            if (rvalid && ^{rdata, rresp} === 1'bx) fail("a register that was read is X");
            if (m_tvalid && ^{m_tdata, m_tlast} === 1'bx) fail("a word of the output stream is X");
`ifdef TRACE
            if (^{dut.trace_write, dut.trace_done} === 1'bx) fail("trace_write or trace_done is X");
            if (dut.trace_write && ^dut.trace_write_address === 1'bx) fail("the address of a write is X");
            if (dut.trace_done && ^{dut.trace_skipped, dut.trace_address, dut.trace_cycles} === 1'bx)
                fail("what is said of an instruction is X");
`endif
        end
    end

    // Every task begins and ends just behind a rising edge. Valids fall when their word has been taken.
    task step;
        begin
            @(posedge clk);
            #1;
        end
    endtask

    task write(input [15:0] address, input [31:0] data);
        reg aw, w, b;
        begin
            awaddr = address; wdata = data; awvalid = 1; wvalid = 1; bready = 1; b = 0;
            while (!b) begin
                @(negedge clk);
                aw = awvalid && awready; w = wvalid && wready; b = bvalid;
                if (b && bresp !== 0) fail("a register write is refused");
                step;
                if (aw) awvalid = 0;
                if (w) wvalid = 0;
            end
            bready = 0;
        end
    endtask

    task read(input [15:0] address, output [31:0] data);
        reg ar, r;
        begin
            araddr = address; arvalid = 1; rready = 1; r = 0;
            while (!r) begin
                @(negedge clk);
                ar = arvalid && arready; r = rvalid; data = rdata;
                if (r && rresp !== 0) fail("a register read is refused");
                step;
                if (ar) arvalid = 0;
            end
            rready = 0;
        end
    endtask

    task wait_for(input [31:0] mask);
        reg [31:0] status;
        begin
            status = mask;
            while (status & mask) begin
                repeat (8) step;
                read(STATUS, status);
            end
        end
    endtask

    task send(input integer first, input integer count);
        reg taken;
        begin
            i = 0;
            s_tvalid = 1;
            while (i < count) begin
                s_tdata = script[first + i];
                s_tlast = i == count - 1;
                @(negedge clk);
                taken = s_tready;
                step;
                if (taken) i = i + 1;
            end
            s_tvalid = 0;
            s_tlast = 0;
        end
    endtask

    task receive(input integer count);
        begin
            i = 0;
            m_tready = 1;
            while (i < count) begin
                @(negedge clk);
                if (m_tvalid) begin
                    $fdisplay(results, "%h", m_tdata);
                    i = i + 1;
                    if (m_tlast != (i == count)) fail("TLAST must come with the last word");
                end
                step;
            end
            m_tready = 0;
        end
    endtask

    reg [31:0] word;

    initial begin
        if (!$value$plusargs("cycles=%d", most) || !$value$plusargs("script=%s", path)) fail("plusargs are missing");
        $readmemh(path, script);
        if (!$value$plusargs("results=%s", path)) fail("plusargs are missing");
        results = $fopen(path, "w");
        at = 0;
        repeat (2) step;
        rst = 1;
        repeat (4) step;
        rst = 0;
        watching = 1;
        step;
        while (script[at] !== 0) begin
            case (script[at])
                1: begin write(script[at + 1], script[at + 2]); at = at + 3; end
                2: begin wait_for(script[at + 1]); at = at + 2; end
                3: begin send(at + 2, script[at + 1]); at = at + 2 + script[at + 1]; end
                4: begin receive(script[at + 1]); at = at + 2; end
                5: begin read(script[at + 1], word); $fdisplay(results, "%h", word); at = at + 2; end
                default: begin fail("the script must hold instructions"); at = SCRIPT_WORDS; end
            endcase
        end
        $fclose(results);
        $display("ended after %0d cycles", cycle);
        $finish;
    end
endmodule

// The one memory of the core, in as many shapes as it needs: READS read ports, one write port, write enables per
// GRANULE bits. Reads are synchronous: data follow the address by one cycle and hold while the port is not enabled.
// DEPTH need not be a power of two. A macro may give anything for an address beyond it; in simulation that reads ones,
// which no design may use. A write beyond it changes nothing.
//
// COLLIDE 1: it may be read and written in the same cycle; a read of the word that is written returns the old word.
// COLLIDE 0: no cycle both reads and writes, which simulation checks, so that one port may serve both.
//
// Synthesis for FPGAs infers block RAM from it, or distributed RAM where it is small. It must define SYNTHESIS, as most
// tools do by themselves: what is for simulation alone is left out then, and words are anything until they are written.
//
// For an ASIC, put macros in the place of the modules that have an instance of it, one per kind of memory, with the
// same names, parameters and ports: WIDTH / MACRO macros side by side, macro i with bits [i*MACRO +: MACRO] of the word,
// all with the same address and read enable. The simulation has one array for all of them. It loads the image named by
// the plusarg +<IMAGE>=<file> ($readmemh) if there is one, and starts from zero otherwise.
module spikesim_ram #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 256,
    parameter integer GRANULE = 32,
    parameter integer MACRO = 32,
    parameter integer READS = 1,
    parameter integer ADDRESS = 8,
    parameter integer COLLIDE = 1,
    parameter IMAGE = "none"
) (
    input  wire                       clk,
    input  wire [WIDTH/GRANULE-1:0]   write_enable,
    input  wire [ADDRESS-1:0]         write_address,
    input  wire [WIDTH-1:0]           write_data,
    input  wire [READS-1:0]           read_enable,
    input  wire [READS*ADDRESS-1:0]   read_address,
    output reg  [READS*WIDTH-1:0]     read_data
);
`ifdef SYNTHESIS
    // Yosys then adds nothing for reads of what is being written. Icarus Verilog takes no parameter in an attribute.
    (* no_rw_check = COLLIDE == 0 *)
`endif
    reg [WIDTH-1:0] words [0:DEPTH-1];

    // A constant loop bound per port; `integer` loops are unrolled.
    integer granule, port;

    always @(posedge clk) begin
        for (granule = 0; granule < WIDTH / GRANULE; granule = granule + 1)
            if (write_enable[granule] && (DEPTH == 1 << ADDRESS || write_address < DEPTH))
                words[write_address][granule*GRANULE +: GRANULE] <= write_data[granule*GRANULE +: GRANULE];
        for (port = 0; port < READS; port = port + 1)
            if (read_enable[port])
`ifdef SYNTHESIS
                read_data[port*WIDTH +: WIDTH] <= words[read_address[port*ADDRESS +: ADDRESS]];
`else
                read_data[port*WIDTH +: WIDTH] <= read_address[port*ADDRESS +: ADDRESS] < DEPTH
                    ? words[read_address[port*ADDRESS +: ADDRESS]] : {WIDTH{1'b1}};
`endif
    end

`ifndef SYNTHESIS
    integer word;
    reg [1023:0] file;

    initial begin
        if (WIDTH % MACRO != 0) begin
            $display("WIDTH must be a multiple of MACRO, not %0d with %0d", WIDTH, MACRO);
            $finish;
        end
        for (word = 0; word < DEPTH; word = word + 1)
            words[word] = {WIDTH{1'b0}};
        if (IMAGE != "none" && $value$plusargs({IMAGE, "=%s"}, file))
            $readmemh(file, words);
    end

    always @(posedge clk)
        if (COLLIDE == 0 && |write_enable && |read_enable)
            $fatal(1, "memory %m must be read and written in different cycles");
`endif
endmodule

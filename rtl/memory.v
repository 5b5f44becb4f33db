// The one memory of the core, in as many shapes as it needs: READS read ports, one write port, write enables per
// GRANULE bits. Reads are synchronous: data follow the address by one cycle and hold while the port is not enabled. A
// read of the word that is written in the same cycle returns the old word. DEPTH need not be a power of two. A macro
// may give anything for an address beyond it; here that reads ones, which no design may use, and writes nothing.
//
// For an ASIC or FPGA, put macros in its place, in a wrapper of the same name and ports: WIDTH / MACRO of them side by
// side, macro i with bits [i*MACRO +: MACRO] of the word, all with the same address and read enable. The simulation has
// one array for all of them. It loads the image named by the plusarg +<IMAGE>=<file> ($readmemh) if there is one, and
// starts from zero otherwise.
module spikesim_ram #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 256,
    parameter integer GRANULE = 32,
    parameter integer MACRO = 32,
    parameter integer READS = 1,
    parameter integer ADDRESS = 8,
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
    reg [WIDTH-1:0] words [0:DEPTH-1];

    // A constant loop bound per port; `integer` loops are unrolled.
    integer granule, port;

    always @(posedge clk) begin
        for (granule = 0; granule < WIDTH / GRANULE; granule = granule + 1)
            if (write_enable[granule] && write_address < DEPTH)
                words[write_address][granule*GRANULE +: GRANULE] <= write_data[granule*GRANULE +: GRANULE];
        for (port = 0; port < READS; port = port + 1)
            if (read_enable[port])
                read_data[port*WIDTH +: WIDTH] <= read_address[port*ADDRESS +: ADDRESS] < DEPTH
                    ? words[read_address[port*ADDRESS +: ADDRESS]] : {WIDTH{1'b1}};
    end

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
endmodule

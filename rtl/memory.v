// The one memory of the core, in as many shapes as it needs: READS read ports, one write port, write enables per
// GRANULE bits. Reads are synchronous: data follow the address by one cycle and hold while the port is not enabled. A
// read of the word that is written in the same cycle returns the old word.
//
// For an ASIC or FPGA, put a macro or a wrapper of the same name and ports in its place. The simulation loads
// the image named by the plusarg +<IMAGE>=<file> ($readmemh) if there is one, and starts from zero otherwise.
module spikesim_ram #(
    parameter integer WIDTH = 32,
    parameter integer DEPTH = 256,
    parameter integer GRANULE = 32,
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
            if (write_enable[granule])
                words[write_address][granule*GRANULE +: GRANULE] <= write_data[granule*GRANULE +: GRANULE];
        for (port = 0; port < READS; port = port + 1)
            if (read_enable[port])
                read_data[port*WIDTH +: WIDTH] <= words[read_address[port*ADDRESS +: ADDRESS]];
    end

    integer word;
    reg [1023:0] file;

    initial begin
        for (word = 0; word < DEPTH; word = word + 1)
            words[word] = {WIDTH{1'b0}};
        if (IMAGE != "none" && $value$plusargs({IMAGE, "=%s"}, file))
            $readmemh(file, words);
    end
endmodule

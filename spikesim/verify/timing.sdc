# Timing constraints of the core, for synthesis, placement and static timing analysis. Times in ns.
#
# Assumed: one clock; what drives the inputs and takes the outputs runs with the same clock, without a phase of its own.
# Every output of the core comes from a register, through one gate or the multiplexer of a queue at most; no ready depends
# on a valid. Inputs go through logic before a register takes them: drive them from registers.

set period @PERIOD@

# Of the period: what a register outside and the wires to the core take, and what lies between the core and a register
# outside. Your interconnect may need more.
set outside 0.3

create_clock -name clk -period $period [get_ports clk]
# Until there is a clock tree: skew and jitter.
set_clock_uncertainty [expr {0.05 * $period}] [get_clocks clk]

# All but the clock. The reset is synchronous: it is timed as every other input is.
foreach name {
    rst s_axil_awaddr* s_axil_awprot* s_axil_awvalid s_axil_wdata* s_axil_wstrb* s_axil_wvalid s_axil_bready
    s_axil_araddr* s_axil_arprot* s_axil_arvalid s_axil_rready s_axis_tdata* s_axis_tvalid s_axis_tlast m_axis_tready
} {
    set_input_delay [expr {$outside * $period}] -clock clk [get_ports $name]
}
foreach name {
    s_axil_awready s_axil_wready s_axil_bresp* s_axil_bvalid s_axil_arready s_axil_rdata* s_axil_rresp* s_axil_rvalid
    s_axis_tready m_axis_tdata* m_axis_tvalid m_axis_tlast irq
} {
    set_output_delay [expr {$outside * $period}] -clock clk [get_ports $name]
}
# trace_* exists for simulation alone; leave it open, and synthesis removes it.

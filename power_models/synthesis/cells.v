// Flip-flops whose clear goes before their enable, as ones whose enable goes before everything: only those can have
// their clock gated. The enable then covers the clear, and the data are the cleared value while it lasts.
// In the names: polarity of clock, clear; value; polarity of enable.

(* techmap_celltype = "$_SDFFE_PP0P_" *)
module clear_0_enable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D & ~R), .C(C), .E(E | R), .Q(Q));
endmodule

(* techmap_celltype = "$_SDFFE_PP1P_" *)
module clear_1_enable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D | R), .C(C), .E(E | R), .Q(Q));
endmodule

(* techmap_celltype = "$_SDFFE_PP0N_" *)
module clear_0_disable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D & ~R), .C(C), .E(~E | R), .Q(Q));
endmodule

(* techmap_celltype = "$_SDFFE_PP1N_" *)
module clear_1_disable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D | R), .C(C), .E(~E | R), .Q(Q));
endmodule

(* techmap_celltype = "$_SDFFE_PN0P_" *)
module unclear_0_enable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D & R), .C(C), .E(E | ~R), .Q(Q));
endmodule

(* techmap_celltype = "$_SDFFE_PN0N_" *)
module unclear_0_disable (input D, C, R, E, output Q);
  \$_DFFE_PP_ _TECHMAP_REPLACE_ (.D(D & R), .C(C), .E(~E | ~R), .Q(Q));
endmodule

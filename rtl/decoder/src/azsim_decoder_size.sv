// Size and content of the next beat: bits it consumes, bits of each value, the mask. Combinational.
module azsim_decoder_size (
  input  logic [2:0]   phase_i,
  input  logic [63:0]  view_i,          // next bits of the window
  input  logic         coded_mask_i,
  input  logic         coded_values_i,
  input  logic [2:0]   width_i,         // FIXED: bits per value - 1
  input  logic [5:0]   sections_i,      // sections - 1
  input  logic [4:0]   active_i,        // values of this beat
  input  logic [63:0]  symbols_i,       // 4 bits per lane
  input  logic [4:0]   bytes_i,         // renormalisation bytes of this beat
  input  logic [63:0]  class_bits_i,    // per class: its extra bits
  output logic [8:0]   bits_o,
  output logic [63:0]  mask_o,
  output logic [6:0]   ones_o,
  output logic [63:0]  value_bits_o     // per lane: bits of its value, 0 if inactive
);

  logic [63:0] lane_bits;
  for (genvar l = 0; l < 16; l++) begin : gen_lane
    logic       active;
    logic [3:0] symbol, coded_bits;
    assign active     = active_i > l;
    assign symbol     = symbols_i[4*l +: 4];
    assign coded_bits = class_bits_i[{symbol, 2'b00} +: 4];
    assign lane_bits[4*l +: 4] = !active ? 4'd0 :
                                 coded_values_i ? coded_bits : {1'b0, width_i} + 4'd1;
  end
  assign value_bits_o = lane_bits;

  logic [7:0] value_sum;  // at most 16 x 8
  always @* begin
    value_sum = '0;
    for (int i = 0; i < 16; i++) value_sum = value_sum + {4'd0, lane_bits[4*i +: 4]};
  end

  assign mask_o = coded_mask_i ? symbols_i : view_i;
  assign ones_o = 7'($countones(mask_o));

  logic [6:0] sections;  // 1..64
  assign sections = {1'b0, sections_i} + 7'd1;

  logic [8:0] byte_bits;
  assign byte_bits = {1'b0, bytes_i, 3'b000};

  always @* begin
    case (phase_i)
      azsim_decoder_pkg::PhaseStates:   bits_o = 9'd256;
      azsim_decoder_pkg::PhaseContexts: bits_o = {1'b0, sections, 1'b0};
      azsim_decoder_pkg::PhaseMask:     bits_o = coded_mask_i ? byte_bits : 9'd64;
      azsim_decoder_pkg::PhaseValues:
        bits_o = {1'b0, value_sum} + (coded_values_i ? byte_bits : 9'd0);
      default:                          bits_o = 9'd64;  // header, word of a TABLE record
    endcase
  end

endmodule

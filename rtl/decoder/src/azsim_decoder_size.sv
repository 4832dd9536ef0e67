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
  output logic         blank_o,         // the mask has no ones
  output logic [63:0]  value_bits_o     // per lane: bits of its value, 0 if inactive
);

  logic [63:0] class_bits;
  logic [3:0]  field_bits;
  assign field_bits = {1'b0, width_i} + 4'd1;
  for (genvar l = 0; l < 16; l++) begin : gen_lane
    logic       active;
    logic [3:0] symbol, coded_bits;
    assign active     = active_i > l;
    assign symbol     = symbols_i[4*l +: 4];
    assign coded_bits = class_bits_i[{symbol, 2'b00} +: 4];
    assign class_bits[4*l +: 4] = active ? coded_bits : 4'd0;
    assign value_bits_o[4*l +: 4] = !active ? 4'd0 : coded_values_i ? coded_bits : field_bits;
  end

  // Both at most 16 x 8.
  logic [7:0] class_sum, field_sum;
  always @* begin
    class_sum = '0;
    for (int i = 0; i < 16; i++) class_sum = class_sum + {4'd0, class_bits[4*i +: 4]};
  end
  assign field_sum = {3'd0, active_i} * {4'd0, field_bits};

  assign mask_o  = coded_mask_i ? symbols_i : view_i;
  assign ones_o  = 7'($countones(mask_o));
  assign blank_o = mask_o == '0;  // known sooner than the count

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
        bits_o = coded_values_i ? {1'b0, class_sum} + byte_bits : {1'b0, field_sum};
      default:                          bits_o = 9'd64;  // header, word of a TABLE record
    endcase
  end

endmodule

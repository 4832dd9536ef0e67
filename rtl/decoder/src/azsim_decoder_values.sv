// Second and third pipeline stage: fields become weights; the result waits at the output port.
module azsim_decoder_values #(
  parameter int Profile = 0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         advance_i,

  input  logic         valid_i,
  input  logic         end_i,
  input  logic [1:0]   kind_i,
  input  logic         coded_i,
  input  logic         palette_i,
  input  logic [4:0]   count_i,
  input  logic [63:0]  value_bits_i,
  input  logic [63:0]  symbols_i,
  input  logic [127:0] fields_i,
  input  logic [3:0]   error_i,

  input  logic [127:0] class_base_i,
  input  logic [15:0]  class_sign_i,
  input  logic [255:0] entries_i,

  output logic         out_valid_o,
  output logic [1:0]   out_kind_o,
  output logic [4:0]   out_count_o,
  output logic [127:0] out_data_o,
  output logic         out_last_o,
  output logic [3:0]   out_error_o
);

  logic         valid_q, end_q, coded_q, palette_q;
  logic [1:0]   kind_q;
  logic [4:0]   count_q;
  logic [63:0]  value_bits_q, symbols_q;
  logic [127:0] fields_q, values, data;
  logic [3:0]   error_q;

  for (genvar l = 0; l < 16; l++) begin : gen_lane
    logic [3:0] symbol;
    logic [7:0] value;
    assign symbol = symbols_q[4*l +: 4];
    azsim_decoder_value #(
      .Profile(Profile)
    ) u_value (
      .field_i  (fields_q[8*l +: 8]),
      .bits_i   (value_bits_q[4*l +: 4]),
      .coded_i  (coded_q),
      .palette_i(palette_q),
      .base_i   (class_base_i[{symbol, 3'b000} +: 8]),
      .sign_i   (class_sign_i[symbol]),
      .entries_i(entries_i),
      .value_o  (value)
    );
    assign values[8*l +: 8] = (count_q > l) ? value : 8'd0;
  end

  assign data = kind_q == azsim_decoder_pkg::KindMask ? fields_q : values;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_q      <= 1'b0;
      end_q        <= 1'b0;
      kind_q       <= azsim_decoder_pkg::KindNone;
      coded_q      <= 1'b0;
      palette_q    <= 1'b0;
      count_q      <= '0;
      value_bits_q <= '0;
      symbols_q    <= '0;
      fields_q     <= '0;
      error_q      <= azsim_decoder_pkg::ErrNone;
      out_valid_o  <= 1'b0;
      out_kind_o   <= azsim_decoder_pkg::KindNone;
      out_count_o  <= '0;
      out_data_o   <= '0;
      out_last_o   <= 1'b0;
      out_error_o  <= azsim_decoder_pkg::ErrNone;
    end else if (advance_i) begin
      valid_q      <= valid_i;
      end_q        <= end_i;
      kind_q       <= kind_i;
      coded_q      <= coded_i;
      palette_q    <= palette_i;
      count_q      <= count_i;
      value_bits_q <= value_bits_i;
      symbols_q    <= symbols_i;
      fields_q     <= fields_i;
      error_q      <= end_i ? error_i : azsim_decoder_pkg::ErrNone;
      out_valid_o  <= valid_q;
      out_kind_o   <= kind_q;
      out_count_o  <= count_q;
      out_data_o   <= kind_q == azsim_decoder_pkg::KindNone ? '0 : data;
      out_last_o   <= end_q;
      out_error_o  <= error_q;
    end
  end

endmodule

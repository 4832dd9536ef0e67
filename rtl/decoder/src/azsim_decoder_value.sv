// Value of one lane: class base and extra bits, or a field of fixed width; then the palette.
// Combinational.
module azsim_decoder_value #(
  parameter int Profile = 0
) (
  input  logic [7:0]   field_i,
  input  logic [3:0]   bits_i,      // bits of the field, 0..8
  input  logic         coded_i,
  input  logic         palette_i,   // the value is an index
  input  logic [7:0]   base_i,
  input  logic         sign_i,      // SG: the lowest extra bit is the sign
  input  logic [255:0] entries_i,
  output logic [7:0]   value_o
);

  logic [7:0] upper, extended;
  logic [2:0] top;
  assign upper    = 8'hFF << bits_i;
  assign top      = 3'(bits_i - 4'd1);
  assign extended = field_i[top] ? field_i | upper : field_i;

  if (Profile == azsim_decoder_pkg::ProfileAns) begin : gen_ans
    logic [7:0] size, signed_value, plain;
    assign size         = base_i + (sign_i ? {1'b0, field_i[7:1]} : field_i);
    assign signed_value = (sign_i && field_i[0]) ? -size : size;
    assign plain        = coded_i ? signed_value : palette_i ? field_i : extended;
    assign value_o      = palette_i ? entries_i[{plain[4:0], 3'b000} +: 8] : plain;
  end else begin : gen_bitmap
    logic unused;
    assign unused  = ^{coded_i, palette_i, base_i, sign_i, entries_i};
    assign value_o = extended;
  end

endmodule

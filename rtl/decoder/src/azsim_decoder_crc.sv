// CRC-32C of a tile, one port word per cycle. The CRC field (bits 63:32 of word 0) counts as zero.
//
// `crc_o` is the value over all words so far, final inversion included.
module azsim_decoder_crc #(
  parameter int PortBits = 64
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                step_i,
  input  logic                first_i,  // word_i starts a tile: begin from start_i
  input  logic                half_i,   // only bits 63:0 of word_i belong to the tile
  input  logic [31:0]         start_i,
  input  logic [PortBits-1:0] word_i,
  output logic [31:0]         crc_o
);

  function automatic logic [31:0] step64(input logic [31:0] crc, input logic [63:0] word);
    logic [31:0] c;
    integer i;
    c = crc;
    for (i = 0; i < 64; i = i + 1) begin
      c = {1'b0, c[31:1]} ^ ((c[0] ^ word[i]) ? azsim_decoder_pkg::CrcPolynomial : 32'd0);
    end
    step64 = c;
  endfunction

  logic [31:0] crc_q, begin_value;
  logic [63:0] low_word;

  assign begin_value = first_i ? start_i : crc_q;
  assign low_word    = first_i ? {32'd0, word_i[31:0]} : word_i[63:0];
  assign crc_o       = ~crc_q;

  // Evaluated once per clock edge only: the loops are slow in an event simulator.
  if (PortBits == 64) begin : gen_64
    logic unused_half;
    assign unused_half = half_i;
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) crc_q <= '0;
      else if (step_i) crc_q <= step64(begin_value, low_word);
    end
  end else begin : gen_128
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) crc_q <= '0;
      else if (step_i && half_i) crc_q <= step64(begin_value, low_word);
      else if (step_i) crc_q <= step64(step64(begin_value, low_word), word_i[127:64]);
    end
  end

endmodule

// Window between port words and beats: a 512-bit ring and an aligner.
//
// Whole port words go in at the write pointer; `view_o` shows the 256 bits from the read pointer on,
// which moves by the bits a beat consumes. Does not count how many bits are valid: that is
// azsim_decoder_sequencer's `fill`.
module azsim_decoder_window #(
  parameter int PortBits = 64  // 64 or 128
) (
  input  logic                clk_i,
  input  logic                rst_ni,
  input  logic                first_i,      // with write_i: the word starts an empty window
  input  logic                write_i,
  input  logic [PortBits-1:0] word_i,
  input  logic                read_i,
  input  logic [8:0]          read_bits_i,  // 0..256
  output logic [255:0]        view_o
);

  localparam int Words = azsim_decoder_pkg::WindowBits / PortBits;
  localparam int PointerBits = $clog2(Words);

  logic [511:0]           ring_q;
  logic [PointerBits-1:0] write_q, write_at;
  logic [8:0]             read_q;

  assign write_at = first_i ? '0 : write_q;

  for (genvar w = 0; w < Words; w++) begin : gen_word
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) ring_q[w*PortBits +: PortBits] <= '0;
      else if (write_i && write_at == w) ring_q[w*PortBits +: PortBits] <= word_i;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      write_q <= '0;
      read_q  <= '0;
    end else begin
      if (write_i) write_q <= write_at + 1'b1;
      if (write_i && first_i) read_q <= '0;
      else if (read_i) read_q <= read_q + read_bits_i;
    end
  end

  // Rotate right by read_q, written as a shifter that shrinks to the 256 bits asked for.
  logic [510:0] s8;
  logic [382:0] s7;
  logic [318:0] s6;
  logic [286:0] s5;
  logic [270:0] s4;
  logic [262:0] s3;
  logic [258:0] s2;
  logic [256:0] s1;
  assign s8     = read_q[8] ? {ring_q[254:0], ring_q[511:256]} : ring_q[510:0];
  assign s7     = read_q[7] ? s8[510:128] : s8[382:0];
  assign s6     = read_q[6] ? s7[382:64] : s7[318:0];
  assign s5     = read_q[5] ? s6[318:32] : s6[286:0];
  assign s4     = read_q[4] ? s5[286:16] : s5[270:0];
  assign s3     = read_q[3] ? s4[270:8] : s4[262:0];
  assign s2     = read_q[2] ? s3[262:4] : s3[258:0];
  assign s1     = read_q[1] ? s2[258:2] : s2[256:0];
  assign view_o = read_q[0] ? s1[256:1] : s1[255:0];

endmodule

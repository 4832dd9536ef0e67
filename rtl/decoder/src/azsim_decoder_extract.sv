// First pipeline stage: holds a fired beat, cuts its values out of the bits that came with it.
//
// The bits of a value beat are the renormalisation bytes, then the values' fields in lane order.
module azsim_decoder_extract #(
  parameter int Profile = 0
) (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         advance_i,

  input  logic         push_i,        // a token enters
  input  logic         end_i,         // it ends a tile
  input  logic [1:0]   kind_i,
  input  logic         coded_i,       // values are classes with extra bits
  input  logic         palette_i,
  input  logic [4:0]   count_i,
  input  logic [4:0]   bytes_i,
  input  logic [63:0]  value_bits_i,
  input  logic [63:0]  symbols_i,
  input  logic [63:0]  mask_i,
  input  logic [255:0] view_i,

  input  logic         judge_i,       // error_i is the judgement on the token that came last
  input  logic [3:0]   error_i,

  output logic         valid_o,
  output logic         end_o,
  output logic [1:0]   kind_o,
  output logic         coded_o,
  output logic         palette_o,
  output logic [4:0]   count_o,
  output logic [63:0]  value_bits_o,
  output logic [63:0]  symbols_o,
  output logic [127:0] fields_o,      // values of 8 bits, upper bits 0; or the mask
  output logic [3:0]   error_o
);

  localparam int HoldBits = Profile == azsim_decoder_pkg::ProfileAns ? 256 : 128;

  logic [HoldBits-1:0] held_q;
  logic [63:0]         value_bits_q;
  logic [3:0]          error_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      valid_o      <= 1'b0;
      end_o        <= 1'b0;
      kind_o       <= azsim_decoder_pkg::KindNone;
      palette_o    <= 1'b0;
      count_o      <= '0;
      held_q       <= '0;
      value_bits_q <= '0;
    end else if (advance_i) begin
      valid_o <= push_i && (end_i || kind_i != azsim_decoder_pkg::KindNone);
      if (push_i) begin
        end_o        <= end_i;
        kind_o       <= kind_i;
        palette_o    <= palette_i;
        count_o      <= count_i;
        value_bits_q <= value_bits_i;
        held_q       <= view_i[HoldBits-1:0];
        if (kind_i == azsim_decoder_pkg::KindMask) held_q[63:0] <= mask_i;
      end
    end
  end

  // The judgement comes in the cycle after the end entered, whether or not the pipeline moves.
  assign error_o = judge_i ? error_i : error_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) error_q <= azsim_decoder_pkg::ErrNone;
    else if (advance_i && push_i) error_q <= azsim_decoder_pkg::ErrNone;
    else if (judge_i) error_q <= error_i;
  end

  logic [127:0] source;
  logic [127:0] starts;  // per lane: first bit of its field
  if (Profile == azsim_decoder_pkg::ProfileAns) begin : gen_ans
    logic [4:0]   bytes_q;
    logic [63:0]  symbols_q;
    logic         coded_q;
    logic [247:0] b4;
    logic [183:0] b3;
    logic [151:0] b2;
    logic [135:0] b1;
    logic [127:0] ends;  // per lane: bits of its field and of those below it
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) begin
        bytes_q   <= '0;
        symbols_q <= '0;
        coded_q   <= 1'b0;
      end else if (advance_i && push_i) begin
        bytes_q   <= bytes_i;
        symbols_q <= symbols_i;
        coded_q   <= coded_i;
      end
    end
    // Drop 0..16 bytes.
    assign b4        = bytes_q[4] ? {120'd0, held_q[255:128]} : held_q[247:0];
    assign b3        = bytes_q[3] ? b4[247:64] : b4[183:0];
    assign b2        = bytes_q[2] ? b3[183:32] : b3[151:0];
    assign b1        = bytes_q[1] ? b2[151:16] : b2[135:0];
    assign source    = !coded_q ? held_q[127:0] : bytes_q[0] ? b1[135:8] : b1[127:0];
    assign symbols_o = symbols_q;
    assign coded_o   = coded_q;
    // Sums over 2, 4, 8 and 16 lanes: the upper half of a run adds what the lower half came to.
    always @* begin
      for (int i = 0; i < 16; i++) ends[8*i +: 8] = {4'd0, value_bits_q[4*i +: 4]};
      for (int run = 1; run < 16; run = 2 * run)
        for (int i = 0; i < 16; i++)
          if ((i & run) != 0)
            ends[8*i +: 8] = ends[8*i +: 8] + ends[8*((i & ~(2 * run - 1)) + run - 1) +: 8];
    end
    assign starts = {ends[119:0], 8'd0};
  end else begin : gen_bitmap
    logic unused;
    assign unused    = ^{coded_i, bytes_i, symbols_i, view_i[255:HoldBits]};
    assign source    = held_q;
    assign symbols_o = '0;
    assign coded_o   = 1'b0;
    // Active lanes have as many bits as lane 0, which always is active.
    always @* begin
      for (int i = 0; i < 16; i++) starts[8*i +: 8] = 8'(i) * {4'd0, value_bits_q[3:0]};
    end
  end

  logic [127:0] fields;
  for (genvar l = 0; l < 16; l++) begin : gen_field
    // Field l starts at bit 8 x l at most.
    localparam int StartBits = $clog2(8 * l + 2);
    logic [8*l+7:0] reach;
    logic [7:0]     start, shifted, keep;
    logic           unused_start;
    assign reach        = source[8*l+7:0];
    assign start        = starts[8*l +: 8];
    assign unused_start = ^start;
    assign shifted      = 8'(reach >> start[StartBits-1:0]);
    assign keep         = ~(8'hFF << value_bits_q[4*l +: 4]);
    assign fields[8*l +: 8] = shifted & keep;
  end

  assign value_bits_o = value_bits_q;
  assign fields_o     = kind_o == azsim_decoder_pkg::KindMask ? {64'd0, held_q[63:0]} : fields;

endmodule

// Core of one rANS lane: takes a symbol out of a state. Combinational.
//
// `cum_i` holds CUM[1..15], 9 bits each; CUM[0] is 0 and CUM[16] is 256. Thresholds never fall, so the
// symbols reached form a run from 0 on, and the last of them has a frequency above 0. `frequencies_i`
// are the differences of the thresholds, made once for all lanes.
module azsim_decoder_lane (
  input  logic [15:0]  state_i,
  input  logic [134:0] cum_i,
  input  logic [127:0] frequencies_i,
  output logic [3:0]   symbol_o,
  output logic [15:0]  next_o,   // state before a byte is taken in
  output logic         need_o    // a byte is needed: next_o < 256
);

  logic [15:0] reached, hot;
  assign reached[0] = 1'b1;
  for (genvar s = 1; s < 16; s++) begin : gen_reached
    assign reached[s] = {1'b0, state_i[7:0]} >= cum_i[9*s-9 +: 9];
  end
  assign hot = reached & ~{1'b0, reached[15:1]};

  logic [7:0] frequency, low, offset;  // low: CUM of the symbol, below 256 as it was reached
  always @* begin
    low       = '0;
    frequency = '0;
    symbol_o  = '0;
    for (int s = 1; s < 16; s++) low = low | ({8{hot[s]}} & cum_i[9*s-9 +: 8]);
    for (int s = 0; s < 16; s++) begin
      frequency = frequency | ({8{hot[s]}} & frequencies_i[8*s +: 8]);
      symbol_o  = symbol_o | ({4{hot[s]}} & 4'(s));
    end
  end

  assign offset = state_i[7:0] - low;
  assign next_o = {8'd0, frequency} * {8'd0, state_i[15:8]} + {8'd0, offset};
  assign need_o = next_o[15:8] == '0;

endmodule

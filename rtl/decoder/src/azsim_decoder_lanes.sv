// The 16 rANS lanes: states, byte hand-out, and the contexts of the sections.
module azsim_decoder_lanes (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic [255:0] view_i,
  input  logic [134:0] cum_i,          // thresholds of the set this beat decodes with
  input  logic         load_states_i,  // ST beat fires
  input  logic         load_contexts_i,// SL beat fires
  input  logic         step_i,         // a coded beat fires
  input  logic [4:0]   active_i,       // lanes that take part in it
  input  logic         next_section_i,
  output logic [63:0]  symbols_o,
  output logic [4:0]   bytes_o,        // bytes this beat takes
  output logic [1:0]   context_o,
  output logic         bad_states_o,   // view_i holds a lane state below 256
  output logic         all_home_o      // all lanes are at 256
);

  logic [255:0] states_q, stepped;
  logic [127:0] contexts_q;
  logic [15:0]  need, home, bad;
  logic [79:0]  taken;        // per lane: bytes handed to it and the lanes below it
  logic [127:0] frequencies;

  for (genvar s = 0; s < 16; s++) begin : gen_frequency
    if (s == 0) begin : gen_lowest
      assign frequencies[7:0] = cum_i[7:0];
    end else if (s == 15) begin : gen_highest
      assign frequencies[127:120] = -cum_i[133:126];
    end else begin : gen_between
      assign frequencies[8*s +: 8] = cum_i[9*s +: 8] - cum_i[9*s-9 +: 8];
    end
  end

  for (genvar l = 0; l < 16; l++) begin : gen_lane
    logic [15:0] state, next;
    logic        wants, active;
    logic [7:0]  data;

    assign state  = states_q[16*l +: 16];
    assign active = active_i > l;
    azsim_decoder_lane u_lane (
      .state_i      (state),
      .cum_i        (cum_i),
      .frequencies_i(frequencies),
      .symbol_o     (symbols_o[4*l +: 4]),
      .next_o       (next),
      .need_o       (wants)
    );
    assign need[l] = wants && active;

    // Lane l can only be handed one of the first l + 1 bytes.
    if (l == 0) begin : gen_first
      assign data = view_i[7:0];
    end else begin : gen_other
      localparam int PlaceBits = $clog2(l + 1);
      logic [8*(2**PlaceBits)-1:0] bytes;
      assign bytes = view_i[8*(2**PlaceBits)-1:0];
      assign data  = bytes[{taken[5*l-5 +: PlaceBits], 3'b000} +: 8];
    end

    assign stepped[16*l +: 16] = !active ? state : wants ? {next[7:0], data} : next;
    assign home[l] = state == 16'd256;
    assign bad[l]  = view_i[16*l+8 +: 8] == '0;
  end

  // Sums over 2, 4, 8 and 16 lanes: the upper half of a run adds what the lower half came to.
  always @* begin
    for (int i = 0; i < 16; i++) taken[5*i +: 5] = {4'd0, need[i]};
    for (int run = 1; run < 16; run = 2 * run)
      for (int i = 0; i < 16; i++)
        if ((i & run) != 0)
          taken[5*i +: 5] = taken[5*i +: 5] + taken[5*((i & ~(2 * run - 1)) + run - 1) +: 5];
  end
  assign bytes_o = taken[79:75];

  assign bad_states_o = bad != '0;
  assign all_home_o   = home == '1;
  assign context_o    = contexts_q[1:0];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      states_q   <= {16{16'd256}};
      contexts_q <= '0;
    end else begin
      if (load_states_i) states_q <= view_i;
      else if (step_i) states_q <= stepped;
      if (load_contexts_i) contexts_q <= view_i[127:0];
      else if (next_section_i) contexts_q <= {2'b00, contexts_q[127:2]};
    end
  end

endmodule

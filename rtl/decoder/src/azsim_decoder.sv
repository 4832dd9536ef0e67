// Weight decoder: words of an AZW tile in, masks and packed weights out (docs/decoder.md).
//
// One port word in and one beat of up to 256 bits per cycle; see doc/interfaces.md for the ports and
// doc/theory_of_operation.md for the cycle law. Does not store weights: a consumer collects a tile and
// keeps it only if the tile ends with out_error_o = 0.
module azsim_decoder #(
  parameter int PortBits = 64,  // 64 or 128
  parameter int Profile = 0     // 0 bitmap, 1 ans
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                in_valid_i,
  output logic                in_ready_o,
  input  logic [PortBits-1:0] in_data_i,
  input  logic                in_last_i,    // last word of this tile
  input  logic                in_half_i,    // with in_last_i: only bits 63:0 are filled
  input  logic [31:0]         in_index_i,   // with the first word: number of the tile
  input  logic [7:0]          in_groups_i,  // with the first word: groups of 256 weights - 1
  input  logic                in_table_i,   // with the first word: a TABLE record, not a tile

  output logic                out_valid_o,
  input  logic                out_ready_i,
  output logic [1:0]          out_kind_o,
  output logic [4:0]          out_count_o,
  output logic [127:0]        out_data_o,
  output logic                out_last_o,
  output logic [3:0]          out_error_o
);

  localparam bit Ans = Profile == azsim_decoder_pkg::ProfileAns;

  // The whole pipeline moves or stands.
  logic advance;
  assign advance = !out_valid_o || out_ready_i;

  // ---- Word 0 ----------------------------------------------------------------------------------
  logic        accept, first, half, member;
  logic [63:0] header_q;
  logic [7:0]  expected_q;
  logic        expect_table_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      header_q       <= '0;
      expected_q     <= '0;
      expect_table_q <= 1'b0;
    end else if (accept && first) begin
      header_q       <= in_data_i[63:0];
      expected_q     <= in_groups_i;
      expect_table_q <= in_table_i;
    end
  end

  logic [1:0] mask_mode, slot;
  logic       coded_values, palette;
  logic [2:0] width;
  logic [7:0] groups;
  assign mask_mode    = header_q[1:0];
  assign coded_values = header_q[2];
  assign palette      = header_q[3];
  assign width        = header_q[6:4];
  assign slot         = header_q[8:7];
  assign groups       = header_q[17:10];

  logic         is_empty, is_table, is_coded, uses_table;
  logic [3:0]   header_error, written, has_palette;
  azsim_decoder_header #(
    .Profile(Profile)
  ) u_header (
    .header_i     (header_q[31:0]),
    .table_i      (expect_table_q),
    .groups_i     (expected_q),
    .written_i    (written),
    .has_palette_i(has_palette),
    .is_empty_o   (is_empty),
    .is_table_o   (is_table),
    .is_coded_o   (is_coded),
    .uses_table_o (uses_table),
    .error_o      (header_error)
  );

  // ---- Window and CRC --------------------------------------------------------------------------
  logic         fire;
  logic [8:0]   beat_bits;
  logic [255:0] view;
  azsim_decoder_window #(
    .PortBits(PortBits)
  ) u_window (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .first_i    (first),
    .write_i    (accept),
    .word_i     (in_data_i),
    .read_i     (fire),
    .read_bits_i(beat_bits),
    .view_o     (view)
  );

  logic [31:0] crc, crc_start, table_crc;
  assign crc_start = in_table_i ? '1 : ~in_index_i ^ table_crc;
  azsim_decoder_crc #(
    .PortBits(PortBits)
  ) u_crc (
    .clk_i  (clk_i),
    .rst_ni (rst_ni),
    .step_i (accept && (member || first)),
    .first_i(first),
    .half_i (half),
    .start_i(crc_start),
    .word_i (in_data_i),
    .crc_o  (crc)
  );

  // ---- Beats -----------------------------------------------------------------------------------
  logic [4:0] load_cycles, active, bytes;
  logic [6:0] ones;
  logic       blank;
  logic [3:0] beat_error, known_error;
  logic [2:0] phase;
  logic       next_section;
  logic       push, push_end, judge, extra_words;
  logic [9:0] fill;
  azsim_decoder_sequencer #(
    .PortBits(PortBits)
  ) u_sequencer (
    .clk_i         (clk_i),
    .rst_ni        (rst_ni),
    .in_valid_i    (in_valid_i),
    .in_ready_o    (in_ready_o),
    .in_last_i     (in_last_i),
    .in_half_i     (in_half_i),
    .in_length_i   (in_data_i[31:18]),
    .accept_o      (accept),
    .first_o       (first),
    .half_o        (half),
    .member_o      (member),
    .mask_i        (mask_mode),
    .is_empty_i    (is_empty),
    .is_table_i    (is_table),
    .is_coded_i    (is_coded),
    .groups_i      (groups),
    .load_cycles_i (load_cycles),
    .advance_i     (advance),
    .beat_bits_i   (beat_bits),
    .beat_ones_i   (ones),
    .beat_blank_i  (blank),
    .beat_error_i  (beat_error),
    .phase_o       (phase),
    .active_o      (active),
    .next_section_o(next_section),
    .fire_o        (fire),
    .push_o        (push),
    .push_end_o    (push_end),
    .judge_o       (judge),
    .error_o       (known_error),
    .extra_words_o (extra_words),
    .fill_o        (fill)
  );

  logic         at_mask, at_values, coded_mask;
  logic [63:0]  symbols, value_bits, mask, class_bits;
  assign at_mask    = phase == azsim_decoder_pkg::PhaseMask;
  assign at_values  = phase == azsim_decoder_pkg::PhaseValues;
  assign coded_mask = Ans && mask_mode == azsim_decoder_pkg::MaskCoded;
  azsim_decoder_size u_size (
    .phase_i       (phase),
    .view_i        (view[63:0]),
    .coded_mask_i  (coded_mask),
    .coded_values_i(Ans && coded_values),
    .width_i       (width),
    .sections_i    (groups[7:2]),
    .active_i      (active),
    .symbols_i     (symbols),
    .bytes_i       (bytes),
    .class_bits_i  (class_bits),
    .bits_o        (beat_bits),
    .mask_o        (mask),
    .ones_o        (ones),
    .blank_o       (blank),
    .value_bits_o  (value_bits)
  );

  // ---- Lanes and tables, profile ans only ------------------------------------------------------
  logic         bad_states, all_home, word_bad, commit;
  logic [127:0] class_base;
  logic [15:0]  class_sign;
  logic [255:0] entries;
  if (Profile == azsim_decoder_pkg::ProfileAns) begin : gen_ans
    logic [134:0] cum;
    logic [127:0] crcs;
    logic [1:0]   context_index, first_slot;
    logic         first_uses_table;

    azsim_decoder_lanes u_lanes (
      .clk_i          (clk_i),
      .rst_ni         (rst_ni),
      .view_i         (view),
      .cum_i          (cum),
      .load_states_i  (fire && phase == azsim_decoder_pkg::PhaseStates),
      .load_contexts_i(fire && phase == azsim_decoder_pkg::PhaseContexts),
      .step_i         (fire && ((at_mask && coded_mask) || (at_values && coded_values))),
      .active_i       (at_mask ? 5'd16 : active),
      .next_section_i (next_section),
      .symbols_o      (symbols),
      .bytes_o        (bytes),
      .context_o      (context_index),
      .bad_states_o   (bad_states),
      .all_home_o     (all_home)
    );

    azsim_decoder_tables u_tables (
      .clk_i        (clk_i),
      .rst_ni       (rst_ni),
      .advance_i    (advance),
      .header_fire_i(fire && phase == azsim_decoder_pkg::PhaseHeader),
      .is_table_i   (is_table),
      .uses_table_i (uses_table),
      .palette_i    (palette),
      .slot_i       (slot),
      .crc_i        (header_q[63:32]),
      .load_cycles_o(load_cycles),
      .written_o    (written),
      .has_palette_o(has_palette),
      .crcs_o       (crcs),
      .word_fire_i  (fire && phase == azsim_decoder_pkg::PhaseTable),
      .word_i       (view[63:0]),
      .word_bad_o   (word_bad),
      .commit_i     (commit),
      .context_i    (context_index),
      .for_mask_i   (at_mask),
      .cum_o        (cum),
      .class_bits_o (class_bits),
      .class_base_o (class_base),
      .class_sign_o (class_sign),
      .palette_o    (entries)
    );

    // A tile that uses a table starts its CRC from the record's.
    assign first_slot       = in_data_i[8:7];
    assign first_uses_table = in_data_i[1:0] != azsim_decoder_pkg::MaskSpecial &&
                              (in_data_i[1:0] == azsim_decoder_pkg::MaskCoded || in_data_i[3:2] != '0);
    assign table_crc        = first_uses_table ? crcs[{first_slot, 5'd0} +: 32] : '0;
  end else begin : gen_bitmap
    logic unused;
    assign unused      = ^{uses_table, slot, palette, next_section, commit};
    assign symbols     = '0;
    assign bytes       = '0;
    assign class_bits  = '0;
    assign class_base  = '0;
    assign class_sign  = '0;
    assign entries     = '0;
    assign bad_states  = 1'b0;
    assign all_home    = 1'b1;
    assign word_bad    = 1'b0;
    assign written     = '0;
    assign has_palette = '0;
    assign load_cycles = '0;
    assign table_crc   = '0;
  end

  always @* begin
    case (phase)
      azsim_decoder_pkg::PhaseHeader: beat_error = header_error;
      azsim_decoder_pkg::PhaseStates:
        beat_error = bad_states ? azsim_decoder_pkg::ErrBadState : azsim_decoder_pkg::ErrNone;
      azsim_decoder_pkg::PhaseTable:
        beat_error = word_bad ? azsim_decoder_pkg::ErrBadTable : azsim_decoder_pkg::ErrNone;
      default: beat_error = azsim_decoder_pkg::ErrNone;
    endcase
  end

  // ---- Judgement, in the cycle after a tile's end entered the pipeline ---------------------------
  logic [63:0] rest_mask;
  logic        trailing;
  logic [3:0]  verdict;
  assign rest_mask = ~(64'hFFFF_FFFF_FFFF_FFFF << fill[5:0]);
  assign trailing  = extra_words || fill[9:6] != '0 || (view[63:0] & rest_mask) != '0;
  always @* begin
    verdict = known_error;
    if (known_error == azsim_decoder_pkg::ErrNone) begin
      if (crc != header_q[63:32]) verdict = azsim_decoder_pkg::ErrBadCrc;
      else if (is_coded && !all_home) verdict = azsim_decoder_pkg::ErrBadState;
      else if (trailing) verdict = azsim_decoder_pkg::ErrTrailing;
    end
  end
  assign commit = judge && is_table && verdict == azsim_decoder_pkg::ErrNone;

  // ---- Output pipeline -------------------------------------------------------------------------
  logic [1:0] kind;
  logic [4:0] count;
  always @* begin
    kind  = azsim_decoder_pkg::KindNone;
    count = '0;
    if (fire && at_mask) kind = azsim_decoder_pkg::KindMask;
    if (fire && at_values) begin
      kind  = (mask_mode == azsim_decoder_pkg::MaskDense) ? azsim_decoder_pkg::KindDense
                                                          : azsim_decoder_pkg::KindPacked;
      count = active;
    end
  end

  logic         s1_valid, s1_end, s1_coded, s1_palette;
  logic [1:0]   s1_kind;
  logic [4:0]   s1_count;
  logic [63:0]  s1_value_bits, s1_symbols;
  logic [127:0] s1_fields;
  logic [3:0]   s1_error;
  azsim_decoder_extract #(
    .Profile(Profile)
  ) u_extract (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .advance_i   (advance),
    .push_i      (push),
    .end_i       (push_end),
    .kind_i      (kind),
    .coded_i     (coded_values),
    .palette_i   (palette),
    .count_i     (count),
    .bytes_i     (bytes),
    .value_bits_i(value_bits),
    .symbols_i   (symbols),
    .mask_i      (mask),
    .view_i      (view),
    .judge_i     (judge),
    .error_i     (verdict),
    .valid_o     (s1_valid),
    .end_o       (s1_end),
    .kind_o      (s1_kind),
    .coded_o     (s1_coded),
    .palette_o   (s1_palette),
    .count_o     (s1_count),
    .value_bits_o(s1_value_bits),
    .symbols_o   (s1_symbols),
    .fields_o    (s1_fields),
    .error_o     (s1_error)
  );

  azsim_decoder_values #(
    .Profile(Profile)
  ) u_values (
    .clk_i       (clk_i),
    .rst_ni      (rst_ni),
    .advance_i   (advance),
    .valid_i     (s1_valid),
    .end_i       (s1_end),
    .kind_i      (s1_kind),
    .coded_i     (s1_coded),
    .palette_i   (s1_palette),
    .count_i     (s1_count),
    .value_bits_i(s1_value_bits),
    .symbols_i   (s1_symbols),
    .fields_i    (s1_fields),
    .error_i     (s1_error),
    .class_base_i(class_base),
    .class_sign_i(class_sign),
    .entries_i   (entries),
    .out_valid_o (out_valid_o),
    .out_kind_o  (out_kind_o),
    .out_count_o (out_count_o),
    .out_data_o  (out_data_o),
    .out_last_o  (out_last_o),
    .out_error_o (out_error_o)
  );

endmodule

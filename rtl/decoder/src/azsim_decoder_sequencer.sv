// Control of the decoder: accepts words, decides which beat fires in which cycle, ends tiles.
//
// Knows the order of beats, how many bits are in the window and how many words are to come, and the
// first error. Does not look at weights: the size of the next beat and what it finds wrong come from
// outside, combinationally.
module azsim_decoder_sequencer #(
  parameter int PortBits = 64
) (
  input  logic        clk_i,
  input  logic        rst_ni,

  // Port side.
  input  logic        in_valid_i,
  output logic        in_ready_o,
  input  logic        in_last_i,
  input  logic        in_half_i,
  input  logic [13:0] in_length_i,   // LEN, if the word is the first of a tile
  output logic        accept_o,
  output logic        first_o,       // with accept_o: first word of a tile
  output logic        half_o,        // with accept_o: only 64 bits of the word belong to the tile
  output logic        member_o,      // with accept_o: the word lies within LEN

  // Header of the tile under way.
  input  logic [1:0]  mask_i,
  input  logic        is_empty_i,
  input  logic        is_table_i,
  input  logic        is_coded_i,
  input  logic [7:0]  groups_i,
  input  logic [4:0]  load_cycles_i,  // cycles without a beat after the header

  // Next beat.
  input  logic        advance_i,      // the output pipeline moves
  input  logic [8:0]  beat_bits_i,
  input  logic [6:0]  beat_ones_i,    // mask beats: ones of the mask
  input  logic        beat_blank_i,   // mask beats: there are none
  input  logic [3:0]  beat_error_i,   // what is wrong with the beat besides OVERRUN
  output logic [2:0]  phase_o,
  output logic [4:0]  active_o,       // value beats: values of this beat
  output logic        next_section_o, // with fire_o: the section ends with this beat
  output logic        fire_o,

  // End of a tile.
  output logic        push_o,         // a token enters the pipeline: a beat, or the bare end
  output logic        push_end_o,     // with push_o: it ends the tile
  output logic        judge_o,        // cycle after push_end_o: judge the tile
  output logic [3:0]  error_o,        // error known before the judgement
  output logic        extra_words_o,  // words were left when the last beat fired
  output logic [9:0]  fill_o          // bits in the window
);

  typedef enum logic [1:0] {Idle, Run, Drain, Flush} state_e;

  state_e      state_q, state_d;
  logic [2:0]  phase_q, phase_d;
  logic [9:0]  fill_q, fill_d;
  logic [13:0] rem_q, rem_d;          // words of the tile not accepted yet
  logic        seen_q, seen_d;        // in_last was accepted
  logic        wrong_q, wrong_d;      // number of words is not LEN
  logic        short_q, short_d;      // in_last came before word LEN
  logic        extra_q, extra_d;
  logic        judge_q;
  logic [3:0]  err_q, err_d;
  logic [4:0]  hold_q, hold_d;
  logic [7:0]  group_q, group_d;
  logic [1:0]  quarter_q, quarter_d;
  logic [8:0]  left_q, left_d;        // values of the group still to come; ones seen while masks come
  logic [4:0]  record_q, record_d;    // words of a TABLE record still to fire

  // ---- Words in ------------------------------------------------------------------------------
  logic        idle, accept;
  logic [1:0]  words_in, taken;
  logic [13:0] rem_before, rem_after;
  logic        ends_early, ends_late;
  logic [9:0]  taken_bits;

  assign idle       = state_q == Idle;
  assign in_ready_o = idle || state_q == Drain ||
                      (state_q == Run && rem_q != '0 && fill_q <= 10'(512 - PortBits));
  assign accept     = in_valid_i && in_ready_o;
  assign words_in   = (PortBits == 64 || (in_last_i && in_half_i)) ? 2'd1 : 2'd2;
  assign rem_before = idle ? in_length_i : rem_q;
  assign taken      = (rem_before < {12'd0, words_in}) ? rem_before[1:0] : words_in;
  assign rem_after  = rem_before - {12'd0, taken};
  assign ends_early = in_last_i && rem_after != '0;
  assign ends_late  = rem_after == '0 && (!in_last_i || taken != words_in);
  assign taken_bits = {2'd0, taken, 6'd0};

  assign accept_o = accept;
  assign first_o  = idle;
  assign half_o   = taken == 2'd1;
  assign member_o = taken != '0;

  // ---- Beats ---------------------------------------------------------------------------------
  logic       may_fire, fails, fire, last_beat;
  logic [3:0] failure;
  logic [4:0] active;
  logic [8:0] left_after, ones_after;
  logic       blank, mask_ends, values_end, group_ends, tile_ends, overrun;

  assign overrun  = {1'b0, beat_bits_i} > fill_q;
  assign may_fire = state_q == Run && (fill_q >= 10'd256 || rem_q == '0) && hold_q == '0 && advance_i;
  always @* begin
    failure = beat_error_i;
    if (phase_q != azsim_decoder_pkg::PhaseHeader && overrun)
      failure = short_q ? azsim_decoder_pkg::ErrLength : azsim_decoder_pkg::ErrOverrun;
  end
  assign fails = may_fire && failure != azsim_decoder_pkg::ErrNone;
  assign fire  = may_fire && failure == azsim_decoder_pkg::ErrNone;

  assign active     = (left_q >= 9'd16) ? 5'd16 : left_q[4:0];
  assign left_after = left_q - {4'd0, active};
  assign ones_after = left_q + {2'd0, beat_ones_i};
  assign blank      = left_q == '0 && beat_blank_i;
  assign mask_ends  = phase_q == azsim_decoder_pkg::PhaseMask && quarter_q == 2'd3;
  assign values_end = phase_q == azsim_decoder_pkg::PhaseValues && left_after == '0;
  assign group_ends = (mask_ends && blank) || values_end;
  assign tile_ends  = group_ends && group_q == groups_i;
  assign last_beat  = tile_ends || (phase_q == azsim_decoder_pkg::PhaseHeader && is_empty_i) ||
                      (phase_q == azsim_decoder_pkg::PhaseTable && record_q == 5'd1);

  assign phase_o        = phase_q;
  assign active_o       = active;
  assign next_section_o = fire && group_ends && group_q[1:0] == 2'd3;
  assign fire_o         = fire;

  logic       is_dense;
  logic [2:0] body_phase;
  assign is_dense   = mask_i == azsim_decoder_pkg::MaskDense;
  assign body_phase = is_dense ? azsim_decoder_pkg::PhaseValues : azsim_decoder_pkg::PhaseMask;

  always @* begin
    phase_d   = phase_q;
    group_d   = group_q;
    quarter_d = quarter_q;
    left_d    = left_q;
    record_d  = record_q;
    hold_d    = (advance_i && hold_q != '0) ? hold_q - 1'b1 : hold_q;
    if (fire) begin
      case (phase_q)
        azsim_decoder_pkg::PhaseHeader: begin
          phase_d = is_table_i ? azsim_decoder_pkg::PhaseTable :
                    is_coded_i ? azsim_decoder_pkg::PhaseStates : body_phase;
          left_d  = is_dense ? 9'd256 : '0;
          hold_d  = load_cycles_i;
        end
        azsim_decoder_pkg::PhaseStates:   phase_d = azsim_decoder_pkg::PhaseContexts;
        azsim_decoder_pkg::PhaseContexts: phase_d = body_phase;
        azsim_decoder_pkg::PhaseMask: begin
          quarter_d = quarter_q + 1'b1;
          left_d    = ones_after;
          if (mask_ends && !blank) phase_d = azsim_decoder_pkg::PhaseValues;
        end
        azsim_decoder_pkg::PhaseValues: begin
          left_d = left_after;
          if (values_end) begin
            phase_d = body_phase;
            left_d  = is_dense ? 9'd256 : '0;
          end
        end
        default: record_d = record_q - 1'b1;  // PhaseTable
      endcase
      if (group_ends) group_d = group_q + 1'b1;
    end
    if (accept && idle) begin
      phase_d   = azsim_decoder_pkg::PhaseHeader;
      group_d   = '0;
      quarter_d = '0;
      hold_d    = '0;
      record_d  = in_length_i[4:0] - 1'b1;
    end
  end

  // ---- Window count, words to come, first error ------------------------------------------------
  always @* begin
    fill_d  = fill_q - (fire ? {1'b0, beat_bits_i} : 10'd0);
    rem_d   = rem_q;
    seen_d  = seen_q;
    short_d = short_q;
    wrong_d = wrong_q;
    extra_d = extra_q;
    err_d   = err_q;
    if (fails) err_d = failure;
    if (fire && last_beat && rem_q != '0) extra_d = 1'b1;
    if (accept) begin
      rem_d = in_last_i ? '0 : rem_after;
      if (idle) begin
        fill_d  = taken_bits;
        seen_d  = in_last_i;
        short_d = ends_early;
        wrong_d = ends_early || ends_late;
        extra_d = 1'b0;
        err_d   = azsim_decoder_pkg::ErrNone;
      end else begin
        if (state_q == Run) fill_d = fill_d + taken_bits;
        seen_d  = seen_q || in_last_i;
        short_d = short_q || ends_early;
        wrong_d = wrong_q || ends_early || ends_late;
      end
    end
  end

  // ---- Tiles -----------------------------------------------------------------------------------
  // A tile ends with its last beat if in_last has come by then; else the rest is discarded first and
  // a token without data ends it. So does every failing beat.
  logic ends_with_beat, ends_bare;
  assign ends_with_beat = fire && last_beat && seen_d;
  assign ends_bare      = state_q == Flush && advance_i;

  always @* begin
    state_d = state_q;
    case (state_q)
      Idle: if (accept) state_d = Run;
      Run: begin
        if (ends_with_beat) state_d = Idle;
        else if ((fails || (fire && last_beat)) && seen_d) state_d = Flush;
        else if (fails || (fire && last_beat)) state_d = Drain;
      end
      Drain: if (accept && in_last_i) state_d = Flush;
      default: if (advance_i) state_d = Idle;  // Flush
    endcase
  end

  assign push_o        = fire || ends_bare;
  assign push_end_o    = ends_with_beat || ends_bare;
  assign judge_o       = judge_q;
  assign error_o       = (err_q != azsim_decoder_pkg::ErrNone) ? err_q :
                         wrong_q ? azsim_decoder_pkg::ErrLength : azsim_decoder_pkg::ErrNone;
  assign extra_words_o = extra_q;
  assign fill_o        = fill_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q   <= Idle;
      phase_q   <= azsim_decoder_pkg::PhaseHeader;
      fill_q    <= '0;
      rem_q     <= '0;
      seen_q    <= 1'b0;
      short_q   <= 1'b0;
      wrong_q   <= 1'b0;
      extra_q   <= 1'b0;
      judge_q   <= 1'b0;
      err_q     <= azsim_decoder_pkg::ErrNone;
      hold_q    <= '0;
      group_q   <= '0;
      quarter_q <= '0;
      left_q    <= '0;
      record_q  <= '0;
    end else begin
      state_q   <= state_d;
      phase_q   <= phase_d;
      fill_q    <= fill_d;
      rem_q     <= rem_d;
      seen_q    <= seen_d;
      short_q   <= short_d;
      wrong_q   <= wrong_d;
      extra_q   <= extra_d;
      judge_q   <= push_end_o;
      err_q     <= err_d;
      hold_q    <= hold_d;
      group_q   <= group_d;
      quarter_q <= quarter_d;
      left_q    <= left_d;
      record_q  <= record_d;
    end
  end

`ifdef FORMAL
  // Bits are neither lost nor taken twice, the window never overflows, each tile ends exactly once,
  // and a ready port stays ready until a word comes. The header beat's size and its error for LEN = 0
  // are facts of the modules around this one.
  logic        f_past_q = 1'b0;
  logic        f_open_q;
  logic [20:0] f_put_q, f_taken_q;

  always @(posedge clk_i) f_past_q <= 1'b1;
  always @* begin
    if (!f_past_q) assume (!rst_ni);
    assume (beat_bits_i <= 9'd256);
    if (phase_q == azsim_decoder_pkg::PhaseHeader && fill_q < 10'd64)
      assume (beat_error_i != azsim_decoder_pkg::ErrNone);
    if (phase_q == azsim_decoder_pkg::PhaseHeader) assume (beat_bits_i == 9'd64);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      f_open_q  <= 1'b0;
      f_put_q   <= '0;
      f_taken_q <= '0;
    end else begin
      if (accept && idle) begin
        f_open_q  <= 1'b1;
        f_put_q   <= {11'd0, taken_bits};
        f_taken_q <= '0;
      end else begin
        if (push_end_o) f_open_q <= 1'b0;
        if (accept && state_q == Run) f_put_q <= f_put_q + {11'd0, taken_bits};
        if (fire) f_taken_q <= f_taken_q + {12'd0, beat_bits_i};
      end
    end
  end

  always @(posedge clk_i) begin
    if (rst_ni && f_past_q) begin
      assert (fill_q <= 10'd512);
      assert (f_put_q - f_taken_q == {11'd0, fill_q});
      assert (f_open_q == (state_q != Idle));
      assert (!(push_end_o && !f_open_q));
      assert (!(state_q == Drain && seen_q));
      assert (!(state_q == Flush && !seen_q));
      assert (!(state_q == Run && seen_q && rem_q != '0));
      if ($past(rst_ni) && $past(in_ready_o) && !$past(in_valid_i)) assert (in_ready_o);
    end
  end
`endif

endmodule

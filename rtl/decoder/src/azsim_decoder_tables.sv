// The four table slots and the registers that hold the loaded one.
//
// A TABLE record goes word by word into the RAM and is checked on the way. When a tile uses a slot that
// is not in the registers, the slot is copied: one word per cycle that `advance_i` grants.
module azsim_decoder_tables (
  input  logic         clk_i,
  input  logic         rst_ni,
  input  logic         advance_i,

  // Header beat of a tile or record fires.
  input  logic         header_fire_i,
  input  logic         is_table_i,
  input  logic         uses_table_i,
  input  logic         palette_i,
  input  logic [1:0]   slot_i,
  input  logic [31:0]  crc_i,
  output logic [4:0]   load_cycles_o,  // cycles without a beat that this header asks for
  output logic [3:0]   written_o,
  output logic [3:0]   has_palette_o,
  output logic [127:0] crcs_o,         // CRC field of the record in each slot

  // Words of a record.
  input  logic         word_fire_i,
  input  logic [63:0]  word_i,
  output logic         word_bad_o,
  input  logic         commit_i,       // the record was judged good

  // The loaded table.
  input  logic [1:0]   context_i,
  input  logic         for_mask_i,
  output logic [134:0] cum_o,
  output logic [63:0]  class_bits_o,   // NB, 4 bits per class
  output logic [127:0] class_base_o,
  output logic [15:0]  class_sign_o,
  output logic [255:0] palette_o
);

  localparam int FirstClass = 16;   // word of a record, header not counted
  localparam int FirstPalette = 20;

  logic [3:0]   written_q, has_palette_q;
  logic [127:0] crcs_q;
  logic [1:0]   loaded_q, record_slot_q;
  logic         loaded_valid_q, record_palette_q;

  assign written_o     = written_q;
  assign has_palette_o = has_palette_q;
  assign crcs_o        = crcs_q;

  logic load_start;
  assign load_start    = header_fire_i && uses_table_i && !(loaded_valid_q && loaded_q == slot_i);
  assign load_cycles_o = !uses_table_i || (loaded_valid_q && loaded_q == slot_i) ? 5'd0 :
                         has_palette_q[slot_i] ? 5'd24 : 5'd20;

  // ---- Words of a record -----------------------------------------------------------------------
  logic [4:0]  word_q;
  logic [11:0] word_sum;
  logic [10:0] half_q;
  logic [3:0]  entry_bad;

  always @* begin
    word_sum = '0;
    for (int i = 0; i < 8; i++) word_sum = word_sum + {4'd0, word_i[8*i +: 8]};
  end
  for (genvar e = 0; e < 4; e++) begin : gen_entry
    logic [3:0] bits;
    assign bits = word_i[16*e+8 +: 4];
    assign entry_bad[e] = bits > 4'd8 || word_i[16*e+13 +: 3] != '0 ||
                          (word_i[16*e+12] && bits == '0);
  end
  assign word_bad_o = word_q < 5'(FirstClass) ?
                        word_q[0] && word_sum + {1'b0, half_q} != 12'd256 :
                      word_q < 5'(FirstPalette) && entry_bad != '0;

  // ---- RAM ---------------------------------------------------------------------------------------
  logic        loading_q;
  logic [4:0]  load_q;      // word that comes out of the RAM next
  logic [4:0]  load_last_q;
  logic [63:0] ram_word;
  logic [6:0]  address;

  assign address = word_fire_i ? {record_slot_q, word_q} :
                   loading_q   ? {loaded_q, load_q + 5'd1} : {slot_i, 5'd0};
  azsim_decoder_table_ram u_ram (
    .clk_i    (clk_i),
    .enable_i (advance_i),
    .write_i  (word_fire_i),
    .address_i(address),
    .data_i   (word_i),
    .data_o   (ram_word)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      written_q        <= '0;
      has_palette_q    <= '0;
      crcs_q           <= '0;
      loaded_q         <= '0;
      loaded_valid_q   <= 1'b0;
      record_slot_q    <= '0;
      record_palette_q <= 1'b0;
      word_q           <= '0;
      half_q           <= '0;
      loading_q        <= 1'b0;
      load_q           <= '0;
      load_last_q      <= '0;
    end else begin
      if (header_fire_i && is_table_i) begin
        written_q[slot_i]      <= 1'b0;
        has_palette_q[slot_i]  <= 1'b0;
        crcs_q[32*slot_i +: 32] <= crc_i;
        record_slot_q          <= slot_i;
        record_palette_q       <= palette_i;
        word_q                 <= '0;
        if (loaded_q == slot_i) loaded_valid_q <= 1'b0;
      end
      if (word_fire_i) begin
        word_q <= word_q + 1'b1;
        half_q <= word_sum[10:0];
      end
      if (commit_i) begin
        written_q[record_slot_q]     <= 1'b1;
        has_palette_q[record_slot_q] <= record_palette_q;
      end
      if (load_start) begin
        loaded_q       <= slot_i;
        loaded_valid_q <= 1'b1;
        loading_q      <= 1'b1;
        load_q         <= '0;
        load_last_q    <= has_palette_q[slot_i] ? 5'd23 : 5'd19;
      end else if (loading_q && advance_i) begin
        load_q    <= load_q + 1'b1;
        loading_q <= load_q != load_last_q;
      end
    end
  end

  // ---- Registers of the loaded table -------------------------------------------------------------
  // Set k (mask contexts 0..3, then value contexts 0..3) comes in words 2k and 2k + 1.
  logic [1079:0] cum_q;
  logic [207:0]  classes_q;   // 13 bits per class: SG, NB, BASE
  logic [255:0]  palette_q;
  logic [8:0]    carry_q;     // sum of the first eight frequencies of a set
  logic [71:0]   sums;

  logic [8:0] running;
  always @* begin
    running = load_q[0] ? carry_q : 9'd0;
    sums    = '0;
    for (int i = 0; i < 8; i++) begin
      running = running + {1'b0, ram_word[8*i +: 8]};
      sums[9*i +: 9] = running;
    end
  end

  logic write_registers;
  assign write_registers = loading_q && advance_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) carry_q <= '0;
    else if (write_registers) carry_q <= sums[71:63];
  end
  for (genvar k = 0; k < 8; k++) begin : gen_set
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) cum_q[135*k +: 135] <= '0;
      else if (write_registers && load_q == 5'(2*k)) cum_q[135*k +: 72] <= sums;
      else if (write_registers && load_q == 5'(2*k+1)) cum_q[135*k+72 +: 63] <= sums[62:0];
    end
  end
  for (genvar c = 0; c < 16; c++) begin : gen_class
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) classes_q[13*c +: 13] <= '0;
      else if (write_registers && load_q == 5'(FirstClass + c/4))
        classes_q[13*c +: 13] <= ram_word[16*(c%4) +: 13];
    end
    assign class_base_o[8*c +: 8] = classes_q[13*c +: 8];
    assign class_bits_o[4*c +: 4] = classes_q[13*c+8 +: 4];
    assign class_sign_o[c]        = classes_q[13*c+12];
  end
  for (genvar p = 0; p < 4; p++) begin : gen_palette
    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) palette_q[64*p +: 64] <= '0;
      else if (write_registers && load_q == 5'(FirstPalette + p)) palette_q[64*p +: 64] <= ram_word;
    end
  end
  assign palette_o = palette_q;

  logic [539:0] half_sets;
  logic [269:0] quarter_sets;
  assign half_sets    = for_mask_i ? cum_q[539:0] : cum_q[1079:540];
  assign quarter_sets = context_i[1] ? half_sets[539:270] : half_sets[269:0];
  assign cum_o        = context_i[0] ? quarter_sets[269:135] : quarter_sets[134:0];

endmodule

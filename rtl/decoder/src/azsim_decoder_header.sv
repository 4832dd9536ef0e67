// Rules of word 0 of a tile or TABLE record, judged when the header beat fires. Combinational.
module azsim_decoder_header #(
  parameter int Profile = 0
) (
  input  logic [31:0] header_i,       // bits 31:0 of word 0; the rest is the CRC
  input  logic        table_i,        // a TABLE record is expected, else a tile
  input  logic [7:0]  groups_i,       // groups - 1 that the container's shape asks for
  input  logic [3:0]  written_i,      // per slot: holds a legal table
  input  logic [3:0]  has_palette_i,  // per slot: that table came with a palette
  output logic        is_empty_o,
  output logic        is_table_o,
  output logic        is_coded_o,     // lane states follow the header
  output logic        uses_table_o,
  output logic [3:0]  error_o
);

  logic [1:0]  mask, slot;
  logic        val, pal, reserved, special, fixed_dense;
  logic [2:0]  width;
  logic [7:0]  groups;
  logic [13:0] length;
  logic [13:0] dense_length;
  logic        bad_any, bad_special, bad_plain, bad_header;

  assign {length, groups, reserved, slot, width, pal, val, mask} = header_i;

  assign special      = mask == azsim_decoder_pkg::MaskSpecial;
  assign is_empty_o   = special && !val;
  assign is_table_o   = special && val;
  assign is_coded_o   = !special && (val || mask == azsim_decoder_pkg::MaskCoded);
  assign uses_table_o = is_coded_o || (!special && pal);
  assign fixed_dense  = mask == azsim_decoder_pkg::MaskDense && !val;

  // DENSE + FIXED: 1 + 4 x groups x bits per value.
  assign dense_length = 14'd1 + {4'd0, ({2'd0, groups} + 10'd1)} * {10'd0, 4'd4} * {10'd0, {1'b0, width} + 4'd1};

  assign bad_any     = reserved || length == '0 || ((special || val) && width != '0);
  assign bad_special = is_table_o ? (groups != '0 || length != (pal ? 14'd25 : 14'd21))
                                  : (pal || slot != '0 || length != 14'd1);
  assign bad_plain   = (!uses_table_o && slot != '0) || (fixed_dense && length != dense_length);
  assign bad_header  = bad_any || (special ? bad_special : bad_plain);

  logic lacks_table;
  assign lacks_table = uses_table_o && (!written_i[slot] || (pal && !has_palette_i[slot]));

  always @* begin
    error_o = azsim_decoder_pkg::ErrNone;
    if (bad_header) error_o = azsim_decoder_pkg::ErrBadHeader;
    else if (Profile == azsim_decoder_pkg::ProfileBitmap && (table_i || is_table_o || uses_table_o))
      error_o = azsim_decoder_pkg::ErrUnsupported;
    else if (is_table_o != table_i) error_o = azsim_decoder_pkg::ErrBadHeader;
    else if (!is_table_o && groups != groups_i) error_o = azsim_decoder_pkg::ErrLength;
    else if (lacks_table) error_o = azsim_decoder_pkg::ErrNoTable;
  end

endmodule

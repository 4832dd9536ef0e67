// Numbers shared by the modules of the weight decoder. Fields and codes are those of docs/decoder.md.
package azsim_decoder_pkg;

  localparam int WindowBits = 512;  // ring between port and beats

  // Profiles (parameter Profile of azsim_decoder).
  localparam int ProfileBitmap = 0;
  localparam int ProfileAns = 1;

  // Error codes, in the order of the table of errors.
  localparam logic [3:0] ErrNone = 4'd0;
  localparam logic [3:0] ErrBadHeader = 4'd1;
  localparam logic [3:0] ErrBadTable = 4'd2;
  localparam logic [3:0] ErrNoTable = 4'd3;
  localparam logic [3:0] ErrBadState = 4'd4;
  localparam logic [3:0] ErrOverrun = 4'd5;
  localparam logic [3:0] ErrTrailing = 4'd6;
  localparam logic [3:0] ErrLength = 4'd7;
  localparam logic [3:0] ErrUnsupported = 4'd8;
  localparam logic [3:0] ErrBadCrc = 4'd9;

  // Field MASK of a header; 1 is RAW, which is what the others are not.
  localparam logic [1:0] MaskDense = 2'd0;
  localparam logic [1:0] MaskCoded = 2'd2;
  localparam logic [1:0] MaskSpecial = 2'd3;

  // Kinds of output beats (out_kind_o).
  localparam logic [1:0] KindNone = 2'd0;    // end of a tile without data
  localparam logic [1:0] KindMask = 2'd1;    // 64 mask bits
  localparam logic [1:0] KindPacked = 2'd2;  // values of the next ones of the group's mask
  localparam logic [1:0] KindDense = 2'd3;   // values of the next weights, no mask

  // Kind of the beat that fires next.
  localparam logic [2:0] PhaseHeader = 3'd0;
  localparam logic [2:0] PhaseStates = 3'd1;
  localparam logic [2:0] PhaseContexts = 3'd2;
  localparam logic [2:0] PhaseMask = 3'd3;
  localparam logic [2:0] PhaseValues = 3'd4;
  localparam logic [2:0] PhaseTable = 3'd5;

  // CRC-32C (Castagnoli), reflected.
  localparam logic [31:0] CrcPolynomial = 32'h82F63B78;

endpackage

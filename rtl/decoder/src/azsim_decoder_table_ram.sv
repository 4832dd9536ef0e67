// Store of the TABLE records: 4 slots x 24 words of 64 bits, one port, read data one cycle later.
//
// A plain array on purpose, so that a build can put a RAM macro here. Its content after reset is
// undefined; a slot is read only after a good record has been written to it.
module azsim_decoder_table_ram (
  input  logic        clk_i,
  input  logic        enable_i,
  input  logic        write_i,
  input  logic [6:0]  address_i,  // slot x 32 + word
  input  logic [63:0] data_i,
  output logic [63:0] data_o
);

  logic [63:0] words [128];

  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      if (write_i) words[address_i] <= data_i;
      else data_o <= words[address_i];
    end
  end

endmodule

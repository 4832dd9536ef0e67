// Property of the whole decoder: what stands at the output port stays until it is taken.
module azsim_decoder_hold #(
  parameter int PortBits = 64,
  parameter int Profile = 0
) (
  input logic                clk_i,
  input logic                rst_ni,
  input logic                in_valid_i,
  input logic [PortBits-1:0] in_data_i,
  input logic                in_last_i,
  input logic                in_half_i,
  input logic [31:0]         in_index_i,
  input logic [7:0]          in_groups_i,
  input logic                in_table_i,
  input logic                out_ready_i
);

  logic         in_ready, out_valid, out_last;
  logic [1:0]   out_kind;
  logic [4:0]   out_count;
  logic [127:0] out_data;
  logic [3:0]   out_error;

  azsim_decoder #(
    .PortBits(PortBits),
    .Profile (Profile)
  ) u_decoder (
    .clk_i      (clk_i),
    .rst_ni     (rst_ni),
    .in_valid_i (in_valid_i),
    .in_ready_o (in_ready),
    .in_data_i  (in_data_i),
    .in_last_i  (in_last_i),
    .in_half_i  (in_half_i),
    .in_index_i (in_index_i),
    .in_groups_i(in_groups_i),
    .in_table_i (in_table_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_kind_o (out_kind),
    .out_count_o(out_count),
    .out_data_o (out_data),
    .out_last_o (out_last),
    .out_error_o(out_error)
  );

  logic f_past_q = 1'b0;
  always @(posedge clk_i) begin
    f_past_q <= 1'b1;
    if (f_past_q && rst_ni && $past(rst_ni) && $past(out_valid) && !$past(out_ready_i)) begin
      assert (out_valid);
      assert ($stable(out_kind));
      assert ($stable(out_count));
      assert ($stable(out_data));
      assert ($stable(out_last));
      assert ($stable(out_error));
    end
  end

endmodule

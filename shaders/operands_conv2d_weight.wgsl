// B of conv2d's gradient with respect to its weights, one product per group z:
// rows m = output channels, columns n = (c, ky, kx), terms k = (image, oy, ox).
//   dw[o, c, ky, kx] = sum_k dy[image, o, oy, ox] x[image, c, y, x]
//   with y = oy sy - py + ky dy and x = ox sx - px + kx dx
//   A = dy [images, O, out_h, out_w]   B = x [images, C, H, W]
// Against operands_conv2d.wgsl columns and steps have swapped roles; why indices may wrap is told
// there, what the functions answer in operands_matmul.wgsl.
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  block_terms: u32,
  out_size: u32, out_batch_stride: u32, out_row_stride: u32, out_run: u32, out_run_stride: u32,
  out_column_stride: u32,
  a_start: u32, a_batch_stride: u32, a_row_stride: u32, a_run: u32, a_run_stride: u32,
  a_term_stride: u32,
  channels: u32, height: u32, width: u32, out_height: u32, out_width: u32,
  kernel_h: u32, kernel_w: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32, dilation_x: u32
}

/** y, x: the tap's distance in pixels from the kernel's first tap. */
struct Column { y: u32, x: u32, i_b: u32, i_channel: u32 }

/** y, x: the input pixel under the kernel's first tap. */
struct Step { y: u32, x: u32, i_b: u32, out_y: u32, out_x: u32, i_image: u32 }

fn column_at(z: u32, n: u32) -> Column {
  let taps = params.kernel_h * params.kernel_w;
  let y = n % taps / params.kernel_w * params.dilation_y;
  let x = n % params.kernel_w * params.dilation_x;
  let channel = z * (params.channels / params.batches) + n / taps;
  let i_channel = channel * params.height * params.width;
  return Column(y, x, i_channel + y * params.width + x, i_channel);
}

fn next_column(column: Column) -> Column {
  let is_row_end = column.x + params.dilation_x == params.kernel_w * params.dilation_x;
  let x = select(column.x + params.dilation_x, 0u, is_row_end);
  let next_y = select(column.y, column.y + params.dilation_y, is_row_end);
  let is_channel_end = next_y == params.kernel_h * params.dilation_y;
  let y = select(next_y, 0u, is_channel_end);
  let i_channel = column.i_channel + select(0u, params.height * params.width, is_channel_end);
  return Column(y, x, i_channel + y * params.width + x, i_channel);
}

fn step_of(i_image: u32, out_y: u32, out_x: u32) -> Step {
  let y = out_y * params.stride_y - params.padding_y;
  let x = out_x * params.stride_x - params.padding_x;
  return Step(y, x, i_image + y * params.width + x, out_y, out_x, i_image);
}

fn step_at(k: u32) -> Step {
  let pixels = params.out_height * params.out_width;
  let i_image = k / pixels * params.channels * params.height * params.width;
  return step_of(i_image, k % pixels / params.out_width, k % params.out_width);
}

fn next_step(step: Step) -> Step {
  let is_row_end = step.out_x + 1u == params.out_width;
  let out_x = select(step.out_x + 1u, 0u, is_row_end);
  let next_y = select(step.out_y, step.out_y + 1u, is_row_end);
  let is_image_end = next_y == params.out_height;
  let image_size = params.channels * params.height * params.width;
  let i_image = step.i_image + select(0u, image_size, is_image_end);
  return step_of(i_image, select(next_y, 0u, is_image_end), out_x);
}

fn load_b(column: Column, step: Step) -> Real {
  let is_inside = column.y + step.y < params.height && column.x + step.x < params.width;
  return select(Real(0), b[select(0u, column.i_b + step.i_b, is_inside)], is_inside);
}

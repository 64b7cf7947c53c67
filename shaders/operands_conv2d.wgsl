// B of conv2d as a product, one per group z: the pixels that meet the kernel.
// rows m = output channels, columns n = (image, oy, ox), terms k = (c, ky, kx).
//   out[image, o, oy, ox] = sum_k w[o, c, ky, kx] x[image, c, y, x]
//   with y = oy sy - py + ky dy and x = ox sx - px + kx dx
//   A = w [O, C/groups, kernel_h, kernel_w]   B = x [images, C, H, W]
// Coordinates left of or above the image wrap round to huge u32 values, so one comparison per axis
// finds both edges, and sums of flat indices come out right although their parts wrap.
// What the functions answer: see operands_matmul.wgsl.
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

/** y, x: the input pixel under the kernel's first tap. */
struct Column { y: u32, x: u32, i_b: u32 }

/** y, x: the tap's distance in pixels from the kernel's first tap. */
struct Step { y: u32, x: u32, i_b: u32, i_channel: u32 }

fn column_at(z: u32, n: u32) -> Column {
  let pixels = params.out_height * params.out_width;
  let image = n / pixels;
  let pixel = n % pixels;
  let y = pixel / params.out_width * params.stride_y - params.padding_y;
  let x = pixel % params.out_width * params.stride_x - params.padding_x;
  let channel = image * params.channels + z * (params.channels / params.batches);
  return Column(y, x, (channel * params.height + y) * params.width + x);
}

fn next_column(column: Column) -> Column {
  let next_x = column.x + params.stride_x;
  let is_row_end = next_x + params.padding_x == params.out_width * params.stride_x;
  let next_y = column.y + select(0u, params.stride_y, is_row_end);
  let is_image_end = next_y + params.padding_y == params.out_height * params.stride_y;
  let x = select(next_x, 0u - params.padding_x, is_row_end);
  let y = select(next_y, 0u - params.padding_y, is_image_end);
  let image_size = params.channels * params.height * params.width;
  let i_image = column.i_b - column.y * params.width - column.x;
  let i_next_image = i_image + select(0u, image_size, is_image_end);
  return Column(y, x, i_next_image + y * params.width + x);
}

fn step_at(k: u32) -> Step {
  let taps = params.kernel_h * params.kernel_w;
  let y = k % taps / params.kernel_w * params.dilation_y;
  let x = k % params.kernel_w * params.dilation_x;
  let i_channel = k / taps * params.height * params.width;
  return Step(y, x, i_channel + y * params.width + x, i_channel);
}

fn next_step(step: Step) -> Step {
  let is_row_end = step.x + params.dilation_x == params.kernel_w * params.dilation_x;
  let x = select(step.x + params.dilation_x, 0u, is_row_end);
  let next_y = select(step.y, step.y + params.dilation_y, is_row_end);
  let is_channel_end = next_y == params.kernel_h * params.dilation_y;
  let y = select(next_y, 0u, is_channel_end);
  let i_channel = step.i_channel + select(0u, params.height * params.width, is_channel_end);
  return Step(y, x, i_channel + y * params.width + x, i_channel);
}

fn load_b(column: Column, step: Step) -> Real {
  let is_inside = column.y + step.y < params.height && column.x + step.x < params.width;
  return select(Real(0), b[select(0u, column.i_b + step.i_b, is_inside)], is_inside);
}

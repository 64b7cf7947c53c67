// Operands of conv2d as a product, one per group z:
// rows m = output channels, columns n = (image, oy, ox), terms k = (c, ky, kx).
//   out[image, o, oy, ox] = sum_k w[o, c, ky, kx] x[image, c, y, x]
//   with y = oy sy - py + ky dy and x = ox sx - px + kx dx
//   A = w [O, C/groups, kernel_h, kernel_w]   B = x [images, C, H, W]
//   out [images, O, out_h, out_w]
// Coordinates left of or above the image wrap round to huge u32 values, so one comparison per axis
// finds both edges, and sums of flat indices come out right although their parts wrap.
// What the functions answer: see operands_matmul.wgsl.
struct Params {
  rows: u32, columns: u32, terms: u32, batches: u32, splits: u32, split_terms: u32, block_rows: u32,
  out_size: u32,
  channels: u32, height: u32, width: u32, out_channels: u32, out_height: u32, out_width: u32,
  kernel_h: u32, kernel_w: u32, stride_y: u32, stride_x: u32, padding_y: u32, padding_x: u32,
  dilation_y: u32, dilation_x: u32
}

/** y, x: the input pixel under the kernel's first tap. */
struct Column { y: u32, x: u32, i_b: u32, i_out: u32 }

/** y, x: the tap's distance in pixels from the kernel's first tap. */
struct Step { y: u32, x: u32, i_b: u32, i_channel: u32 }

fn a_row(z: u32, m: u32) -> u32 {
  return (z * params.rows + m) * params.terms;
}

fn a_term(k: u32) -> u32 {
  return k;
}

fn column_at(z: u32, n: u32) -> Column {
  let pixels = params.out_height * params.out_width;
  let image = n / pixels;
  let pixel = n % pixels;
  let y = pixel / params.out_width * params.stride_y - params.padding_y;
  let x = pixel % params.out_width * params.stride_x - params.padding_x;
  let channel = image * params.channels + z * (params.channels / params.batches);
  let i_b = (channel * params.height + y) * params.width + x;
  return Column(y, x, i_b, image * params.out_channels * pixels + pixel);
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

fn out_row(z: u32, m: u32) -> u32 {
  return (z * params.rows + m) * params.out_height * params.out_width;
}

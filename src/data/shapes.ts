// The ten shapes of the embedded set, as signed distances: negative inside, in units of the shape's radius, y downwards.
// Distances make anti-aliasing, outlines and shadows one line each. They need not be exact far from the edge.

export type Shape = (x: number, y: number) => number;

// Math.hypot guards against overflow and costs five times as much.
const length = (x: number, y: number) => Math.sqrt(x * x + y * y);

const circle = (x: number, y: number, cx: number, cy: number, r: number) => length(x - cx, y - cy) - r;

const box = (x: number, y: number, cx: number, cy: number, halfWidth: number, halfHeight: number) => {
  const dx = Math.abs(x - cx) - halfWidth;
  const dy = Math.abs(y - cy) - halfHeight;
  return length(Math.max(dx, 0), Math.max(dy, 0)) + Math.min(Math.max(dx, dy), 0);
};

/** Distance to a closed polygon of [x0, y0, x1, y1, ...]; the sign by counting crossings. */
const polygon = (x: number, y: number, points: readonly number[]) => {
  let nearest = Infinity;
  let inside = false;
  let ax = points[points.length - 2]!;
  let ay = points[points.length - 1]!;
  for (let i = 0; i < points.length; i += 2) {
    const bx = points[i]!;
    const by = points[i + 1]!;
    const ex = bx - ax;
    const ey = by - ay;
    const along = Math.min(1, Math.max(0, ((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey)));
    nearest = Math.min(nearest, length(x - ax - along * ex, y - ay - along * ey));
    if (ay > y !== by > y && x < ((y - ay) / ey) * ex + ax) inside = !inside;
    ax = bx;
    ay = by;
  }
  return inside ? -nearest : nearest;
};

const join = Math.min;
const cut = (from: number, what: number) => Math.max(from, -what);

/** 2n points alternating between two radii. */
const starPoints = (n: number, outer: number, inner: number) =>
  Array.from({ length: 2 * n }, (_, i) => {
    const angle = (Math.PI * i) / n - Math.PI / 2;
    const r = i % 2 === 0 ? outer : inner;
    return [r * Math.cos(angle), r * Math.sin(angle) + 0.06];
  }).flat();

const star = starPoints(5, 1.14, 0.52);
const diagonal = Math.SQRT1_2;

export const shapes = {
  ring: (x, y) => Math.abs(length(x, y) - 0.72) - 0.24,
  star: (x, y) => polygon(x, y, star),
  cross: (x, y) => join(box(x, y, 0, 0, 0.98, 0.3), box(x, y, 0, 0, 0.3, 0.98)),
  heart: (x, y) => {
    // A square on its corner with a half disc on each upper side.
    const u = (x + y + 0.1) * diagonal;
    const v = (y - x + 0.1) * diagonal;
    const d = join(box(u, v, 0, 0, 0.6, 0.6), circle(u, v, 0, -0.6, 0.6));
    return join(d, circle(u, v, -0.6, 0, 0.6));
  },
  moon: (x, y) => cut(circle(x, y, -0.05, 0, 0.98), circle(x, y, 0.42, -0.12, 0.8)),
  fish: (x, y) => {
    const body = Math.max(circle(x, y, -0.22, 0.66, 1.1), circle(x, y, -0.22, -0.66, 1.1));
    const tail = polygon(x, y, [0.45, 0, 1.1, -0.55, 0.92, 0, 1.1, 0.55]);
    return cut(join(body, tail), circle(x, y, -0.68, -0.1, 0.13));
  },
  tree: (x, y) => {
    const crown = join(
      polygon(x, y, [0, -1.05, 0.55, -0.3, -0.55, -0.3]),
      polygon(x, y, [0, -0.65, 0.85, 0.55, -0.85, 0.55]),
    );
    return join(crown, box(x, y, 0, 0.75, 0.17, 0.3));
  },
  house: (x, y) => {
    const walls = box(x, y, 0, 0.4, 0.68, 0.48);
    const roof = polygon(x, y, [0, -0.95, 1.0, 0.0, -1.0, 0.0]);
    const chimney = box(x, y, 0.55, -0.55, 0.13, 0.32);
    return cut(join(join(walls, roof), chimney), box(x, y, -0.1, 0.62, 0.19, 0.3));
  },
  arrow: (x, y) => join(polygon(x, y, [1.05, 0, 0.1, -0.85, 0.1, 0.85]), box(x, y, -0.45, 0, 0.6, 0.3)),
  mushroom: (x, y) => join(Math.max(circle(x, y, 0, 0, 0.98), y - 0.05), box(x, y, 0, 0.45, 0.3, 0.5)),
} satisfies Record<string, Shape>;

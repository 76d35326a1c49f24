// The little of SVG that charts are written with.

type Attributes = Readonly<Record<string, string | number>>;

/** An element; numbers are cut to a tenth of a pixel. */
export function tag(name: string, attributes: Attributes, content?: string): string {
  const written = Object.entries(attributes)
    .map(([key, value]) => ` ${key}="${typeof value === 'number' ? Number(value.toFixed(2)) : escapeXml(value)}"`)
    .join('');
  return content === undefined ? `<${name}${written}/>` : `<${name}${written}>${content}</${name}>`;
}

/** A document on white, with the fonts that all texts in it share; `title` is what a screen reader says. */
export function svg(width: number, height: number, title: string, content: string): string {
  const root = {
    xmlns: 'http://www.w3.org/2000/svg',
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    'font-family': 'Helvetica, Arial, DejaVu Sans, sans-serif',
    'font-size': 12,
    fill: '#222',
  };
  return `${tag('svg', root, `\n${tag('title', {}, escapeXml(title))}\n${tag('rect', { width, height, fill: '#fff' })}\n${content}\n`)}\n`;
}

export function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
}

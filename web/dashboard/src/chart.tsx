// A live chart: two lines over the last minutes, scaled by the browser, labelled in HTML.
import { useState } from "preact/hooks";

interface Line { name: string; kind: string; values: number[] }

/// The next round number, so that the scale does not jump with each sample.
function ceiling(value: number, base: number): number {
  if (value <= 0) return base === 1024 ? 1024 : 10;
  const power = base ** Math.floor(Math.log(value) / Math.log(base));
  const steps = base === 1024 ? [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024] : [1, 2, 5, 10];
  return power * (steps.find((step) => step * power >= value) ?? base);
}

export function Chart({ title, lines, seconds, format, base }:
{ title: string; lines: Line[]; seconds: number; format: (value: number) => string; base: number }) {
  const [hover, setHover] = useState<number | null>(null);
  const samples = lines[0].values.length;
  const top = ceiling(Math.max(...lines.flatMap((line) => line.values)), base);
  const x = (index: number) => seconds - samples + index;
  const y = (value: number) => 100 - (value / top) * 100;
  const index = hover === null ? samples - 1 : Math.min(samples - 1, Math.max(0, Math.round(hover * seconds - (seconds - samples))));
  const point = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    setHover((event.clientX - box.left) / box.width);
  };
  const now = lines.map((line) => `${line.name} ${format(line.values[index] ?? 0)}`).join(", ");
  return (
    <figure class="chart">
      <figcaption>
        <h2>{title}</h2>
        <span class="legend">
          {lines.map((line) => (
            <span><i class={`swatch ${line.kind}`} />{line.name} <b>{format(line.values[index] ?? 0)}</b></span>
          ))}
          <span class="when">{hover === null ? "now" : `${samples - 1 - index} s ago`}</span>
        </span>
      </figcaption>
      <div class="plot">
        <div class="scale" aria-hidden="true"><span>{format(top)}</span><span>{format(top / 2)}</span><span>0</span></div>
        <svg viewBox={`0 0 ${seconds - 1} 100`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${now}`}
          onPointerMove={point} onPointerLeave={() => setHover(null)}>
          <path class="grid" d={`M0 0H${seconds - 1}M0 50H${seconds - 1}M0 100H${seconds - 1}`} />
          {lines.map((line) => {
            const d = line.values.map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value).toFixed(1)}`).join("");
            return [
              <path class={`area ${line.kind}`} d={`${d}L${seconds - 1} 100L${x(0)} 100Z`} />,
              <path class={`line ${line.kind}`} d={d} />,
            ];
          })}
          {hover !== null && <path class="cursor" d={`M${x(index)} 0V100`} />}
        </svg>
        <div class="times" aria-hidden="true"><span>{seconds / 60} min ago</span><span>now</span></div>
      </div>
    </figure>
  );
}

#include "study/report_assets.h"

extern "C" {
extern const char flanmoe_plotly_js_begin[];
extern const char flanmoe_plotly_js_end[];
}

namespace flanmoe::study {

std::string_view plotly_js() {
  return {flanmoe_plotly_js_begin,
          static_cast<size_t>(flanmoe_plotly_js_end - flanmoe_plotly_js_begin)};
}

const std::string_view kReportStyle = R"css(
:root { color-scheme: light dark; --page: #fcfcfb; --ink: #1c1c1a; --soft: #63635e; --line: #dddcd6; --panel: #f3f2ee; --accent: #0072b2; --good: #00704f; --bad: #b03a00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #17181a; --ink: #e9e8e4; --soft: #a3a29b; --line: #36373a; --panel: #202225; --accent: #56b4e9; --good: #3ec79a; --bad: #f0884d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1.5rem clamp(1rem, 3vw, 2.5rem) 4rem; background: var(--page); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin: 0.5rem 0 0.2rem; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 0.6rem; padding-top: 0.8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 0.3rem; }
p, li { max-width: 52rem; }
p.soft, .soft { color: var(--soft); }
nav a { margin-right: 1rem; color: var(--accent); text-decoration: none; white-space: nowrap; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.92rem; font-variant-numeric: tabular-nums; margin: 0.4rem 0 0.8rem; }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
thead th { color: var(--soft); font-weight: 600; }
tbody th { font-weight: 600; }
ul.verdict { list-style: none; padding: 0; }
ul.verdict li { padding: 0.5rem 0.8rem; margin: 0.4rem 0; background: var(--panel); border-left: 4px solid var(--soft); border-radius: 3px; }
ul.verdict li.first { border-color: var(--good); }
ul.verdict li.second { border-color: var(--bad); }
pre { background: var(--panel); padding: 0.9rem; overflow-x: auto; font-size: 0.82rem; line-height: 1.45; border-radius: 4px; }
.chart { width: 100%; min-height: 330px; }
.toggle { color: var(--soft); font-size: 0.9rem; }
.toggle label { margin-right: 1rem; }
)css";

const std::string_view kReportScript = R"js(
(function () {
  'use strict';
  const data = JSON.parse(document.getElementById('data').textContent);
  if (typeof Plotly === 'undefined') return;
  const palette = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#7f7f7f'];
  const colour_of = {};
  const colour = name => colour_of[name] || (colour_of[name] = palette[Object.keys(colour_of).length % palette.length]);
  data.arms.forEach(colour);
  const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  // plotly reads a little HTML in labels
  const text = s => String(s).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
  const percent = x => 100 * x;
  const errors = (v, low, high) => ({ type: 'data', symmetric: false, thickness: 1.3, width: 3, color: style('--ink'),
    array: v.map((x, i) => percent(Math.max(0, high[i] - x))), arrayminus: v.map((x, i) => percent(Math.max(0, x - low[i]))) });

  function layout(more) {
    const axis = { gridcolor: style('--line'), zerolinecolor: style('--line'), linecolor: style('--line'), automargin: true };
    const base = { paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { color: style('--ink'), family: 'system-ui, sans-serif', size: 13 },
      margin: { l: 60, r: 20, t: 20, b: 50 }, legend: { orientation: 'h', y: 1.12 } };
    const whole = Object.assign(base, more);
    whole.xaxis = Object.assign({}, axis, more.xaxis);
    whole.yaxis = Object.assign({}, axis, more.yaxis);
    return whole;
  }
  const draw = (id, traces, more) => {
    const place = document.getElementById(id);
    if (place && traces.length) Plotly.react(place, traces, layout(more), { responsive: true, displaylogo: false });
  };

  function bars(id, group) {
    const labels = group.labels.map(text);
    const traces = group.arms.map(arm => ({ type: 'bar', name: text(arm.name), x: labels, y: arm.value.map(percent),
      marker: { color: colour(arm.name) }, error_y: errors(arm.value, arm.low, arm.high),
      hovertemplate: '%{x}: %{y:.1f} %<extra>' + text(arm.name) + '</extra>' }));
    if (group.chance.some(c => c > 0))
      traces.push({ type: 'scatter', mode: 'markers', name: 'chance', x: labels, y: group.chance.map(c => c > 0 ? percent(c) : null),
        marker: { symbol: 'line-ew', size: 34, line: { width: 2, color: style('--soft') } }, hovertemplate: 'chance %{y:.1f} %<extra></extra>' });
    draw(id, traces, { barmode: 'group', yaxis: { title: { text: 'accuracy, %' }, range: [0, 102] } });
  }

  function losses(id, stages) {
    const chosen = document.querySelector('input[name="axis"]:checked');
    const by_flops = chosen && chosen.value === 'flops';
    const traces = stages.map(s => ({ type: 'scatter', mode: 'lines', name: text(s.name), line: { width: 1.8, color: colour(s.colour) },
      x: by_flops ? s.flops : s.steps, y: s.cross_entropy, hovertemplate: '%{x}: %{y:.4f}<extra>' + text(s.name) + '</extra>' }));
    draw(id, traces, { xaxis: { title: { text: by_flops ? 'training FLOPs, those of earlier stages included' : 'step of the stage' } },
      yaxis: { title: { text: 'cross-entropy, nats a token' } } });
  }

  function experts(stage, index) {
    const shades = stage.layers.map(text);
    draw('load-' + index, [{ type: 'heatmap', z: stage.share.map(row => row.map(percent)), y: shades, x: stage.share[0].map((_, e) => e), colorscale: 'Viridis',
      zmin: 0, colorbar: { title: { text: '% of load' } }, hovertemplate: '%{y}, expert %{x}: %{z:.1f} %<extra></extra>' }],
      { xaxis: { title: { text: 'expert' }, dtick: stage.share[0].length > 32 ? 8 : 1, showgrid: false }, yaxis: { autorange: 'reversed', showgrid: false } });
    ['load_variation', 'entropy', 'fraction_dropped'].forEach(key => {
      const traces = stage.layers.map((layer, i) => ({ type: 'scatter', mode: 'lines', name: text(layer), x: stage.steps, y: stage[key][i],
        line: { width: 1.6, color: palette[i % palette.length], dash: ['solid', 'dash', 'dot', 'dashdot'][Math.floor(i / palette.length) % 4] } }));
      draw(key + '-' + index, traces, { xaxis: { title: { text: 'step of the stage' } }, yaxis: { title: { text: key.replace('_', ' ') }, rangemode: 'tozero' } });
    });
  }

  function routing(map, index) {
    draw('routing-' + index, [{ type: 'heatmap', z: map.weights.map(row => row.map(percent)), y: map.tasks.map(text), x: map.weights[0].map((_, e) => e),
      colorscale: 'Viridis', zmin: 0, colorbar: { title: { text: '% of weight' } }, hovertemplate: '%{y}, expert %{x}: %{z:.1f} %<extra></extra>' }],
      { height: 130 + 22 * map.tasks.length, xaxis: { title: { text: 'expert' }, dtick: map.weights[0].length > 32 ? 8 : 1, showgrid: false },
        yaxis: { autorange: 'reversed', showgrid: false } });
  }

  function all() {
    if (data.accuracy) bars('accuracy-overview', data.accuracy);
    data.tasks.forEach((group, i) => bars('tasks-' + i, group));
    data.losses.forEach((group, i) => losses('loss-' + i, group.stages));
    data.experts.forEach(experts);
    data.routing.forEach(routing);
  }
  all();
  document.querySelectorAll('input[name="axis"]').forEach(input => input.addEventListener('change', all));
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', all);
})();
)js";

}  // namespace flanmoe::study

// The job's graph: tasks, what they wait for, nested jobs as boxes around their children.
import { useMemo } from "preact/hooks";
import dagre from "@dagrejs/dagre";
import type { TaskInfo } from "../gen/sextant/v1/types_pb";
import { plain, took } from "../format";
import { Grid, StateBadge, stateName } from "../ui";

const kDrawn = 300;
const kWidth = 176;
const kHeight = 46;

interface Drawing {
  width: number;
  height: number;
  nodes: { task: TaskInfo; x: number; y: number; width: number; height: number; group: boolean }[];
  edges: { points: { x: number; y: number }[] }[];
}

const parentOf = (path: string) => path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "";

function draw(tasks: readonly TaskInfo[]): Drawing {
  const graph = new dagre.graphlib.Graph({ compound: true });
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 38, marginx: 8, marginy: 8 });
  graph.setDefaultEdgeLabel(() => ({}));
  const known = new Map(tasks.map((task) => [task.path, task]));
  const groups = new Set(tasks.map((task) => parentOf(task.path)).filter((path) => known.has(path)));
  for (const task of tasks) graph.setNode(task.path, groups.has(task.path) ? {} : { width: kWidth, height: kHeight });
  for (const task of tasks) if (groups.has(parentOf(task.path))) graph.setParent(task.path, parentOf(task.path));
  // An edge to a group is drawn to its first child: dagre cannot end an edge at a cluster.
  const end = (path: string): string | undefined => groups.has(path) ? tasks.find((t) => parentOf(t.path) === path && !groups.has(t.path))?.path : path;
  for (const task of tasks) {
    const parent = parentOf(task.path);
    const at = (name: string) => known.has(name) ? name : parent ? `${parent}/${name}` : name;
    const before = [...(task.spec?.after ?? []), ...(task.spec?.inputs ?? []).map((input) => input.task)];
    if (task.spec?.kind.case === "analyze" && task.spec.kind.value.ofTask) before.push(task.spec.kind.value.ofTask);
    for (const name of new Set(before)) {
      const from = known.has(at(name)) ? end(at(name)) : undefined;
      const to = end(task.path);
      if (from && to && from !== to) graph.setEdge(from, to);
    }
  }
  dagre.layout(graph);
  const size = graph.graph();
  return {
    width: Math.max(1, size.width ?? 1), height: Math.max(1, size.height ?? 1),
    nodes: graph.nodes().map((path) => {
      const node = graph.node(path);
      return { task: known.get(path)!, x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, group: groups.has(path) };
    }).sort((a, b) => Number(b.group) - Number(a.group) || a.task.path.split("/").length - b.task.path.split("/").length),
    edges: graph.edges().map((edge) => ({ points: graph.edge(edge).points })),
  };
}

export function JobGraph({ tasks, selected, onSelect }: { tasks: readonly TaskInfo[]; selected: string; onSelect: (path: string) => void }) {
  // The layout depends on who waits for whom, not on how far they are.
  const shape = tasks.map((task) => task.path).join("\n");
  const drawing = useMemo(() => tasks.length <= kDrawn ? draw(tasks) : undefined, [shape]);
  const now = new Map(tasks.map((task) => [task.path, task]));
  if (!drawing) return <TaskTable tasks={tasks} />;
  return (
    <div class="scroll graph" tabIndex={0} role="region" aria-label="Job graph">
      <svg width={drawing.width} height={drawing.height} viewBox={`0 0 ${drawing.width} ${drawing.height}`}>
        <defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" class="arrow" /></marker></defs>
        {drawing.nodes.filter((n) => n.group).map((n) => (
          <g><rect x={n.x} y={n.y} width={n.width} height={n.height} rx="8" class="group" /><text x={n.x + 8} y={n.y + 14} class="faint">{plain(n.task.path, 40)}</text></g>
        ))}
        {drawing.edges.map((e) => <path class="edge" d={`M${e.points.map((p) => `${p.x} ${p.y}`).join("L")}`} marker-end="url(#arrow)" />)}
        {drawing.nodes.filter((n) => !n.group).map((n) => {
          const task = now.get(n.task.path) ?? n.task;
          const share = task.passes ? task.passesDone / task.passes : 0;
          const name = task.path.slice(task.path.lastIndexOf("/") + 1);
          const about = `${task.kind}${task.passes ? ` · ${task.passesDone}/${task.passes} passes` : ""} · ${stateName(task.state)}`;
          return (
            <g class={`node ${stateName(task.state)}${selected === task.path ? " selected" : ""}`} tabIndex={0} role="button"
              aria-label={`${plain(name, 20)} ${about}${task.path.includes("/") ? `, of ${parentOf(task.path)}` : ""}`}
              onClick={() => onSelect(task.path)} onKeyDown={(e) => (e.key === "Enter" || e.key === " ") && (e.preventDefault(), onSelect(task.path))}>
              <rect x={n.x} y={n.y} width={n.width} height={n.height} rx="6" />
              {task.passes ? <rect x={n.x} y={n.y + n.height - 4} width={n.width * share} height="4" rx="2" class="done" /> : null}
              <text x={n.x + 10} y={n.y + 18}>{plain(name, 20)}</text>{" "}
              <text x={n.x + 10} y={n.y + 35} class="faint">{about}</text>
            </g>
          );
        })}
      </svg>
    </div>
  );
}

function TaskTable({ tasks }: { tasks: readonly TaskInfo[] }) {
  return <Grid rows={tasks} caption="Tasks" id={(t) => t.path} columns={[
    { name: "task", cell: (t) => plain(t.path) }, { name: "kind", cell: (t) => t.kind }, { name: "state", cell: (t) => <StateBadge state={t.state} /> },
    { name: "passes", number: true, cell: (t) => t.passes ? `${t.passesDone}/${t.passes}` : "" },
    { name: "took", number: true, cell: (t) => took(t.startedUnixNs, t.finishedUnixNs) },
  ]} />;
}

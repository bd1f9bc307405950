// Every named bound of the service, through reflection: a new one needs no line here.
import type { Message } from "@bufbuild/protobuf";
import { reflect, type ReflectMessage } from "@bufbuild/protobuf/reflect";
import { ServiceLimitsSchema, type ServiceLimits } from "../gen/sextant/v1/types_pb";
import { count } from "../format";

function rows(message: ReflectMessage, prefix: string): [string, string][] {
  return message.fields.flatMap((field): [string, string][] => {
    if (field.fieldKind === "message") return message.isSet(field) ? rows(message.get(field) as ReflectMessage, `${prefix}${field.name}.`) : [];
    const value: unknown = message.get(field);
    return [[prefix + field.name, typeof value === "bigint" || typeof value === "number" ? count(value) : String(value)]];
  });
}

export function LimitsOf({ limits }: { limits: ServiceLimits }) {
  return <dl class="pairs">{rows(reflect(ServiceLimitsSchema, limits as ServiceLimits & Message), "").map(([name, value]) => <><dt>{name}</dt><dd>{value}</dd></>)}</dl>;
}

// SPDX-License-Identifier: MIT
// The system prompt, the samplers and other members of the request. An empty field is the model's own default.
import type { JSX } from "preact";
import { messageOf } from "../../api/client";
import { parseExtra, SAMPLERS, type Sampler } from "./conversation";
import { conversation, setSettings } from "./session";

function SamplerField({ sampler }: { sampler: Sampler }): JSX.Element {
  const { samplers } = conversation.value.settings;
  const set = (text: string): void => {
    const { [sampler.name]: _, ...others } = conversation.peek().settings.samplers;
    const value = Number(text);
    setSettings({ samplers: text.trim() === "" || !Number.isFinite(value) ? others : { ...others, [sampler.name]: value } });
  };
  return (
    <label class="field">
      <span>{sampler.label}</span>
      <input
        class="input"
        type="number"
        min={sampler.min}
        max={sampler.max}
        step={sampler.step}
        placeholder="default"
        value={samplers[sampler.name] ?? ""}
        onInput={(e) => set(e.currentTarget.value)}
      />
    </label>
  );
}

function extraProblem(text: string): string {
  try {
    parseExtra(text);
    return "";
  } catch (e) {
    return messageOf(e);
  }
}

export function SettingsPanel(): JSX.Element {
  const { settings } = conversation.value;
  const problem = extraProblem(settings.extra);
  return (
    <section class="settings panel" aria-label="Settings">
      <label class="field">
        <span>System prompt</span>
        <textarea class="textarea" rows={4} value={settings.system} onInput={(e) => setSettings({ system: e.currentTarget.value })} />
      </label>
      <div class="settings-grid">
        {SAMPLERS.map((s) => <SamplerField key={s.name} sampler={s} />)}
      </div>
      <label class="field">
        <span>Other request members (JSON)</span>
        <textarea
          class="textarea mono"
          rows={3}
          spellcheck={false}
          placeholder={'{"chat_template_kwargs": {"enable_thinking": false}}'}
          value={settings.extra}
          aria-invalid={problem !== ""}
          onInput={(e) => setSettings({ extra: e.currentTarget.value })}
        />
      </label>
      {problem && <p class="bad" role="alert">{problem}</p>}
      <button type="button" class="button" onClick={() => setSettings({ system: "", samplers: {}, extra: "" })}>Reset to defaults</button>
    </section>
  );
}

"""Holds groups of everyday words, English and Chinese, that mean much the same for tools.

People ask for a "folder" where a tool says "directory". A word may stand in several groups. An
underscore joins the words of a phrase. A line that begins with a space continues the group above.
"""

from __future__ import annotations

from typing import Final

GROUPS: Final = """\
create make new add generate build start open init initialize insert produce set_up compose
  establish found spin_up leave_a_comment 创建 新建 添加 新增 生成 增加 建立 加 建 做 制作 插入
  开通 开一个 加上 leave begin_a start_a launch_a register 弄一个
delete remove erase drop forget discard clear clean cleanup destroy purge unlink uninstall trash
  wipe unset get_rid throw_away take_out eliminate teardown 删除 移除 清除 清空 删掉 删 去掉 卸载
  忘记 丢弃 清理 tidy_up tidy wipe_out discard_changes undo_add 去除 删了
update edit modify change alter patch adjust replace rewrite set put revise amend correct tweak
  rename fix_up 更新 修改 编辑 更改 调整 替换 改 设置 改成 改一下 adapt mark_as convert_to
  fill_out 修正 标记为
list show display enumerate all every everything see view which browse overview what_are 列出 列表
  所有 全部 有哪些 哪些 都有 显示 展示 有什么 what_is_in which_are all_the look_through 有没有
  看看有
get read retrieve fetch view see show describe inspect look check info information details detail
  say load obtain contents 获取 读取 查看 看 看看 详情 信息 拿到 得到 内容 读 取 看一下 了解
  recall look_at read_out open 打开看 内容是什么
find search query lookup look_up look_for locate discover where filter seek hunt match grep
  find_out 搜索 查找 查询 检索 找 搜 查 寻找 筛选 查一下 找到 找出 哪里 在哪 search_for hunt_for
  dig google trace 搜一下 在哪里 找一下
save store write record remember keep put log persist memorize note memory 保存 存储 记录 记住
  写入 存 记下 keep_in_mind jot note_down back_up 保存到 记一下
send post publish submit deliver tell message notify share forward 发送 发 发布 提交 发给 推送
  通知 告诉 分享 转发 announce drop_a_line write_to dm reply inform ping 发一条 说一声 群发
write post create draft compose author 写 撰写 起草
append insert add prepend attach extend 追加 插入 add_to add_a_paragraph at_the_end 追加到
move rename relocate transfer migrate put_into reorder 移动 重命名 改名 转移 迁移 挪 shift
  relocate_to 改名为 移到
copy clone duplicate fork replicate own_copy 复制 拷贝 克隆 副本
cherry_pick pick take_over apply_commit port 挑选 single_commit one_commit take_one_commit
  bring_over
download fetch clone pull get import save export crawl 下载 拉取 导出 抓取
fetch pull newest latest update sync from_the_server remote 拉取 同步 get_the_newest
  bring_up_to_date latest_changes up_to_date
push upload publish to_the_server remote 推送 上传 upload_my_commits publish_branch send_commits
upload attach push import add attachment 上传 附件 导入 附加
import load ingest read_in 导入 载入
export dump extract save_as convert save_to_a_file 导出 转储
run execute exec start launch trigger invoke call perform evaluate eval 运行 执行 启动 触发 调用
  跑 fire kick_off run_a start_a 执行一下
evaluate javascript script js snippet execute run 脚本 run_javascript run_js in_the_page
  console_command 执行脚本
start begin launch boot open resume continue 开始 启动 打开 继续
stop end close kill terminate abort cancel finish quit halt shut_down shut interrupt hang 停止
  结束 关闭 终止 取消 退出 关掉 杀掉 end_it cut_off switch_off shut_off 停掉
restart reboot reload refresh 重启 重新加载 刷新
pause suspend hold sleep overnight resume 暂停 挂起
wait until delay appear disappear 等待 等到 等
fix repair correct resolve solve heal 修复 解决 修正
undo reset revert rollback roll_back back restore recover reflog undelete get_back
  previous_version 撤销 恢复 还原 回滚 重置 找回 go_back revert_to older_version previous rewind
  throw_away_changes discard_changes recovery reinstate 回退 退回
compare diff difference changed changes versus contrast vs 比较 对比 差异 变化 区别 what_changed
  how_differs delta side_by_side 有什么不同 改了什么
change modified modification diff uncommitted update unstaged 变更 改动 修改 变化
merge combine join land integrate unite 合并 整合 bring_together consolidate 合到
rebase replay squash on_top 变基
review approve approval feedback examine inspect reviewer lgtm 审核 审查 评审 审批 批准 sign_off
  accept verdict 通过
reject decline deny refuse 拒绝 驳回
comment reply answer respond note remark discussion annotate leave_a_comment leave_a_note 评论
  回复 回答 答复 留言 批注
label tag mark categorize classify version release annotate labeling 标签 标记 分类 give_a_label
  version_number mark_version tag_version labelling
release version tag publish ship changelog 发布 版本 上线 new_version cut_a_release
changelog release_notes summary_of_changes 更新日志
assign assignee owner responsible delegate in_charge 分配 指派 负责人 经办人 hand_over give_to
  交给
count number_of how_many how_much many amount total quantity 数量 多少 统计 计数 个数 总数 几个
  tally howmany 多少个 有多少
sum add_up total aggregate group average mean statistics aggregation per 求和 汇总 合计 平均 聚合
  统计 by_country per_month group_by totals average_per 分组
sort order rank arrange top 排序 排列
convert transform turn translate change_into parse format 转换 转成 转化 变成 解析 转为 make_into
  change_to rewrite_as 改成
translate translation language 翻译 语言
summarize summarizer summary digest overview abstract tldr short_answer brief 总结 摘要 概括 概述
  gist recap boil_down in_short answer 概述一下
compress zip gzip shrink archive pack unpack unzip extract 压缩 解压 打包
encrypt decrypt cipher hash encode decode 加密 解密 编码
validate verify check test confirm lint valid 验证 校验 检查 确认 检测
analyze analysis examine inspect audit diagnose investigate insight study why 分析 诊断 检查 研究
  为什么
explain mean meaning describe documentation understand 解释 说明 含义 什么意思
navigate go visit open browse goto go_to 导航到 访问 打开
back previous forward go_back 返回 后退 上一页
click press tap push hit button 点击 按 单击 tick check_box checkbox double_click tap_on 点一下
  勾选
key press shortcut keyboard hotkey 按键 快捷键 enter_key escape tab_key shortcut_key 回车
type enter fill input key_in fill_in keyboard text_box box field 输入 填写 填 键入 write_into
  fill_out put_in 写入 填一下
choose select pick option dropdown 选择 选 挑选 下拉 pick_from dropdown_list combobox 下拉框
drag drop move pull_over 拖动 拖拽 拖
hover mouse cursor point_at 悬停 鼠标
scroll swipe 滚动
record capture screencast recording video 录制 录屏 film_the_screen screen_recording
  record_the_screen 录像
share permission grant access allow invite authorize allowed let give_access may collaborator
  right 分享 授权 权限 允许 邀请 共享 let_in give_rights authorise add_collaborator read_access
  may_see can_see 给权限 开权限
access permission allowed who_can role acl 权限 访问
block ban forbid prevent deny 禁止 屏蔽
connect reach access forward login link tunnel port attach_to 连接 访问 接入 reach_from expose
  localhost_access get_to_from
disconnect detach log_out sign_out logout 断开 登出 注销
login sign_in log_in authenticate credential auth 登录 登陆 认证
register sign_up signup enroll join 注册 报名 加入
join member participate belong 加入 参加 进群
subscribe follow watch 订阅 关注
monitor track watch observe poll follow alert tell_me_when notify_me keep_an_eye detect_changes
  监控 跟踪 监视 追踪 关注 get_notified be_told keep_track alert_me notify_when check_regularly
  盯着
split expand divide break decompose subtask break_down smaller 拆分 分解 展开 分割 smaller_steps
  into_steps break_up smaller_pieces piece 细分
deploy install setup set_up 安装 部署
upgrade update newer_version 升级
scale replica copies resize autoscale more_copies instances 扩容 伸缩 缩放 副本 more_instances
  fewer copy replicas autoscaling 副本数
schedule plan cron timer recurring remind 安排 计划 定时 日程
remind reminder alarm 提醒 闹钟
book reserve booking reservation appointment 预订 预约 预定 订
buy purchase order pay checkout 购买 买 下单
pay payment charge invoice bill billing refund transaction subscription 支付 付款 发票 账单 退款
  收款
usage quota limit credit consumption left remaining 用量 配额 额度 剩余 how_many_credits used_up
  tokens_left balance 还剩
cost price spend budget expensive cheap 费用 成本 预算 价格
enable disable toggle switch turn_on turn_off activate 启用 禁用 开关 切换
switch change checkout set use 切换 换到 换
lock unlock protect 锁定 解锁
sync synchronize mirror 同步
archive close hide 归档 存档
print output echo 打印 输出
draw plot sketch render paint visualize diagram chart graph generate 画 绘制 画图 绘图
think reason thinking thought reflect reasoning ponder sequential hard_problem 思考 推理 想
  think_through step_by_step work_out puzzle 一步一步
plan planning roadmap strategy 计划 规划 路线图
complexity effort hard difficult hardest estimate 复杂度 难度 评估 difficulty toughest how_hard
  story_points
commit check_in 提交
stage add index unstaged 暂存
file document readme 文件 文档 pdf docx log_file source_file
document doc page paper file 文档 文件
folder directory dir path 文件夹 目录 路径 subfolder subdirectory path_of inside_this_folder
  文件目录
text content string readme plain word 文本 文字 正文 words markdown source
line row block paragraph 行 一行 段落 段
space size storage disk big large biggest largest capacity take_up how_big heavy bytes 大小 空间
  存储 容量 多大
size how_big storage_size length stats 大小 how_much_space space_used disk_usage 占多少
metadata property attribute info detail modified touched timestamp 元数据 属性
picture image photo screenshot pic png jpeg jpg icon logo wallpaper media 图片 图像 照片 截图 相片
  图标 photograph drawing gif 图 壁纸
video clip movie film mp4 youtube footage media 视频 短片 影片 电影 recording_of youtube_video
  clips 录像
audio sound music song voice speech podcast media 音频 声音 音乐 语音 歌曲
screenshot snapshot capture screen picture_of_the_screen 截图 快照 截屏 屏幕 capture_the_screen
  picture_of snap full_page 截个图
pdf report print 报告
presentation slide deck powerpoint pptx 演示 幻灯片
spreadsheet excel sheet table csv bitable base workbook 表格 电子表格 多维表格 数据表
table database spreadsheet base collection 表 数据表
row record entry document item object 记录 条目 一行 数据 一条 a_row data_set records orders
  entries lines 一行数据 数据记录
column field property attribute schema 字段 列 属性 which_fields attributes custom_field 哪些字段
  有哪些字段
schema structure field column model definition type shape property 结构 模式 字段
database db sql mongo mongodb postgres mysql sqlite db_stats 数据库 databases data_store
collection table set 集合
index faster quick search speed_up 索引 speed_up_queries query_speed lookup_speed
filter where criteria condition query 筛选 过滤 条件 only_those matching older_than newer_than
  greater_than
cell range 单元格
website site web url homepage domain 网站 站点
page website webpage url tab 网页 页面 screen view site html source_of_the_page
page document article 页面 文章
url link address hyperlink href sitemap map 链接 网址 links all_links urls subpages
internet web online www 互联网 网上 上网 网络 google online_search on_the_net look_online 上网搜
  网上搜
scrape crawl extract read markdown text_of 抓取 爬取 提取 pull_out_of text_of_a_page page_content
  structured_data 网页内容
crawl whole_site map all_pages 整站 all_subpages whole_website entire_website every_page all_links
news headline article latest current_events press 新闻 头条 资讯 what_happened breaking_news
  in_the_news world_events 最新消息 新闻报道
tab window browser 标签页 窗口 浏览器 open_tabs pages
form field sign_up input survey 表单 问卷
button link element control 按钮 元素
popup dialog alert modal confirm accept confirmation prompt 弹窗 对话框 confirmation_box alert_box
  yes_no 确认框
cookie session cache local_storage 缓存 会话
console javascript error log 控制台
network request traffic http xhr 网络 请求 which_requests api_calls response body status_code
style css color font theme dark_mode media 样式 颜色 主题 字体 深色 dark light_mode print_view
device phone mobile smartphone emulate viewport resize tablet iphone responsive 手机 设备 移动端
  平板 small_screen screen_size mobile_view resolution width
slow performance fast speed optimize slowly latency bottleneck lighthouse loading explain 慢 性能
  速度 优化 卡 takes_long page_speed lag web_vitals 加载慢 很慢
memory heap leak heapsnapshot ram memory_leak 内存 内存泄漏
accessibility seo audit lighthouse 无障碍
message note chat conversation talk talked said text 消息 信息 聊天 说 讲 通知 dm direct_message
  announcement 一条消息
conversation chat thread history talk discussion messages 对话 会话 聊天记录 scrollback
  earlier_messages past_messages what_was_said 说了什么 聊了什么
channel group room chat team general 频道 群 群聊 群组 讨论组 rooms group_chat group_conversation
  lark_group 群里
thread reply 话题
history past previous earlier recent log said 历史 记录 以前 最近
emoji reaction react thumb like smiley 表情 点赞
mail email inbox gmail letter 邮件 邮箱 信 电子邮件
calendar event meeting appointment schedule 日历 会议 日程 活动
meeting conference engagement call 会议 开会 通话
engagement phone_call call log_a_call activity note meeting interaction 通话 互动 log_a_phone_call
  record_a_call took_notes call_with
user person people member colleague who coworker employee profile account someone teammate friend
  用户 人 成员 同事 谁 员工 人员 账号 朋友 大家 employee_list staff folks directory contact_person
  handle 谁是 有谁
entity node person friend thing concept 实体
me self myself my_account whoami bot 我 自己
author writer wrote who blame committer who_wrote last_changed 作者 谁写的 who_touched who_changed
  last_touched who_last responsible_for_line
team workspace organization group department 团队 部门 组织
customer contact client lead company crm account 客户 联系人 顾客 prospect buyer
contact address_book person 联系人 通讯录
company organization firm business association 公司 企业
deal sale opportunity pipeline crm 交易 商机 销售
relation relationship association belong link linked connected connection edge relate 关系 关联
  属于 friend knows_each_other connect_with associate tie
issue bug ticket problem defect report jql 问题 缺陷 工单 open_issue complaint incident_report
  ticketing 提个问题
issue jql story epic 议题
task todo work ticket job chore to_do 任务 待办 工作 事项 assignment to_dos action_item 任务列表
next upcoming following work_on 下一个 接下来 下一步 what_should_i_do what_now left_to_do
  work_on_next
done finished complete completed close status state progress 完成 状态 进度 结束 tick_off
  mark_done mark_complete resolved
priority urgent important 优先级 紧急
dependency depend depends_on blocked prerequisite needs_first before after 依赖 前置
  must_come_first waits_for requires order_of_tasks relies
deadline due date overdue 截止 到期
sprint board kanban backlog agile 看板 迭代
project 项目
workflow automation automate 工作流 自动化 automations rule trigger sequence
requirement prd specification spec 需求 product_requirements requirements_document feature_list
  需求文档
pull_request pr merge_request merge mr 合并请求 propose_changes propose contribute code_review
  merge_proposal 拉取请求
repo repository project codebase source_code 仓库 代码库 source_tree sources project_on_github
branch worktree 分支 line_of_development two_branches parallel same_time
commit changeset revision 提交
code source program function script implementation snippet 代码 程序 函数 源码
ci check status build pipeline green passing test red 构建 流水线
stash aside uncommitted shelve 暂存 set_aside put_away park half_finished
clean untracked 未跟踪
log output journal trace console 日志 输出
log history commit 历史 日志
error exception failure bug crash fail failing fault warning 错误 异常 报错 失败 stack_trace
  warnings broken what_went_wrong 出错
crash crashing restart die fail log describe 崩溃 挂了 not_starting keeps_failing unhealthy
  evicted crashloop events
test unit_test 测试
debug breakpoint inspect trace 调试
package library framework module dependency chart 包 库 框架 依赖
documentation docs manual reference guide api_reference help how_to_use how_do_i_use tutorial 文档
  手册 说明 帮助 怎么用 how_does example_of usage_of api_docs 官方文档
chart graph plot diagram visualization 图表 图 picture_of_the_data visual
bar column 柱状图 条形图 ranking bars compare_categories side_by_side grouped
histogram distribution distributed boxplot violin spread frequency bins quartile 分布 直方图
  箱线图 outlier percentile how_often 分布图
pie share proportion percentage portion part 饼图 比例 占比 breakdown split_up composition make_up
  percent 份额
line trend grew growth over_time time_series area developed development curve 折线图 趋势 增长
  变化 over_the_year over_the_years per_month monthly daily evolution 走势
scatter correlation correlate relationship variable 散点图 相关性 two_variables
  depends_on_each_other
dual_axis two_axes combined combo 双轴 two_scales in_one_chart both_together
flow process step workflow procedure flowchart 流程 流程图 步骤
sankey flow money movement 桑基图
treemap hierarchy nested share 矩形树图 nested_boxes rectangles boxes area_by_size
hierarchy organization tree structure org report boss 层级 组织架构 树 who_reports org_chart
  reporting_line management_structure 汇报关系
network graph node edge connection 网络图
mind_map mind idea brainstorm topic 思维导图 脑图 sort_my_ideas ideas concept_map
word_cloud word frequent frequency common 词云 词频
funnel stage drop_off conversion lose 漏斗 转化 drop_out drop_off_rate checkout_steps sales_funnel
  lose_customers
radar skill dimension spider profile several_axes 雷达图
cause fishbone root_cause reason why 原因 鱼骨图 causes_of what_leads_to ishikawa
set venn overlap intersection common 交集 韦恩图
waterfall cumulative profit_and_loss 瀑布图 rise_and_fall gains_and_losses step_by_step_total
liquid gauge percentage progress 水波图 仪表盘 percent_done fill_level completion_rate
map geographic region city location marker pin 地图 地理
pin marker point dot 标记 图钉
distance far length kilometer km mile how_far apart 距离 多远 远 公里 相距 how_far_is
  how_many_kilometers away 几公里 多少公里 有多远
drive driving car direction route road way 开车 驾车 自驾 路线 by_car motorway taxi drive_to 打车
  开车去
walk walking foot on_foot pedestrian 步行 走路 走过去 徒步 by_foot stroll hike walk_to 走路去
  步行去
bike bicycle bicycling cycle cycling ride riding 骑行 骑车 自行车 骑自行车 by_bike cycle_to 骑车去
transit subway metro train bus public_transport railway tram 公交 地铁 火车 公共交通 坐车 巴士
  by_train by_bus take_the_train take_the_bus underground commute 坐地铁 坐公交 乘车
direction route way path navigation get_to how_to_get how_do_i_get 路线 怎么走 导航 怎么去 路径
  规划 journey trip itinerary get_from way_from commute 路怎么走
traffic congestion jam road 路况 堵车 拥堵 交通
duration long time travel how_long 时间 多久 时长 多长时间 how_much_time eta arrive travel_time
  要多久 多长
nearby near around close local vicinity surrounding 附近 周边 周围 旁边 around_here close_by
  next_to in_the_area whats_around 附近有
place location spot shop restaurant store poi cafe bar hotel venue local museum park hospital
  pharmacy gas_station 地点 位置 地方 店 商店 兴趣点 landmark attraction sight tourist school
  station bank atm pub 景点 学校 车站 银行
poi place restaurant food eat dinner lunch coffee cafe 餐厅 美食 好吃 吃 吃的 吃饭 饭店 餐馆 咖啡
  酒店 超市 加油站 医院 药店 supermarket bakery pizza sushi pub bar hungry gas station petrol
  pharmacy 饿 火锅 奶茶 便利店
opening_hours hours opening_times detail rating phone_number 营业时间 开门 评分
coordinate latitude longitude geocode position gps lat lng geographic geo 坐标 经纬度 经度 纬度
  地理编码 where_exactly gps_position map_position 在地图上 位置坐标
reverse_geocode regeocode street_address coordinate address 逆地理 什么地址
address place location street postal 地址 位置 postcode zip_code street_name 门牌
elevation height altitude high sea_level above_sea 海拔 高度 above_the_sea mountain how_high 多高
weather forecast temperature rain sunny wind climate humid snow 天气 气温 温度 下雨 预报 rainfall
  umbrella hot cold degrees storm sunshine 冷 热 下雪 带伞 多少度
ip network cidr ip_address whitelist access_list 网段 白名单 firewall office_ip allow_ip allowlist
  allow_connections 允许访问
where_am_i my_location current_location town city locate ip 定位 我在哪 which_city my_city my_ip
  from_my_ip 哪个城市 我现在 我的位置 当前位置
flight plane airline airport hotel travel trip 航班 飞机 机场 旅行 出行
time date clock now timezone today current when 时间 日期 现在 今天 几点 clock_time what_time
stock price market quote share ticker finance 股票 价格 行情 金融
currency exchange money dollar euro 货币 汇率 钱
product item catalog inventory shop 商品 产品 库存
order purchase cart 订单 购物车
paper research scientific academic study publication arxiv literature science 论文 学术 文献
  journal_article preprint citations cited scholar studies 研究论文
similar related alike like_this recommend 相似 相关 类似 推荐 like_it comparable 差不多
book library 书 图书
wiki knowledge_base knowledge space node 知识库 维基 百科
knowledge graph know memory entity observation fact 知识 图谱 what_do_you_know recall 知道
remember memory memorize observation fact learn prefer 记住 记忆 keep_in_mind note_that recall
  learn_that dont_forget 别忘了 记得
forget memory observation 忘记 遗忘
note memo notebook 笔记 便签 备忘
title name heading caption 标题 名称 名字
id identifier key number 编号 标识
idea suggestion recommendation recommend 建议 推荐
question ask answer faq 问题 提问
feedback opinion rating 反馈 意见
shell terminal command exec bash console prompt cli cmd 终端 命令 命令行 script one_liner
  powershell zsh
process program running application app 进程 程序 应用 whats_running task_manager cpu frozen
  hanging 卡死 运行中
machine computer laptop local system host server desktop 电脑 机器 本机 系统
server host machine node vm instance 服务器 主机 节点
node machine server maintenance drain cordon out_of_service 节点 维护 take_out_of_service
  maintenance_mode evict
container pod docker image 容器 workload workloads inside_a_container
cluster kubernetes k8s kubectl context namespace environment 集群 another_cluster switch_cluster
  minikube
kubernetes manifest yaml apply helm 清单
deployment rollout release 部署
service endpoint api 服务 接口
api endpoint rest http 接口
ping alive health reachable up heartbeat 健康 存活
config configuration settings setting preference option setup 配置 设置 选项 how_is_it_set_up
  preferences adjust_settings 设定
environment variable env secret 环境变量 变量 env_var environment_variables
secret password token key credential 密码 密钥 令牌
security vulnerability safe attack 安全 漏洞
backup snapshot restore 备份
metric stats statistics analytics dashboard 指标 统计 数据 看板
alert alarm incident warning notification 告警 报警 警告 通知
tool feature function ability capability 功能 工具
model llm ai gpt prompt 模型 人工智能
number integer math calculate add sum arithmetic calculator plus 数字 计算 加法 数学 two_numbers
  add_up_numbers 加起来 相加
random dice 随机
json xml yaml csv data 数据
template boilerplate layout 模板
sample example demo test_data 示例 样例
design figma layout frame ui 设计 界面
light lamp bulb brightness 灯
public private visibility 公开 私有
latest newest recent last current up_to_date 最新 最近 当前
old older outdated stale 旧 过期
batch bulk several multiple at_once some 批量 多个 一次 一批 几个 several_at_once many_at_once
  in_one_go all_at_once lots 一起
single one individual specific particular 单个 某个
tree hierarchy recursive structure folder_structure 树
whole entire complete full all 整个 全部
"""
"""A group in each line that does not begin with a space."""
